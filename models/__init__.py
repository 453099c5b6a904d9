"""Audio language models behind one interface; start reading at `base.py`."""
