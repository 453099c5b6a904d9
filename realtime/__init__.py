"""Capture, turn-taking, memory and sessions; start reading at `session.py`."""
