"""How Earpiece is put on a Hugging Face Space; `space.md` has the steps."""
