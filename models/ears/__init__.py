"""What writes speech down, beside any model: `whisper.py` does it, `memory.py` remembers what was written."""
