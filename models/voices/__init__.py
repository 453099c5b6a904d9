"""Voices that read answers aloud, beside any model; start reading at `loading.py`."""
