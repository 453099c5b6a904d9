"""The decode loop and what it is made of; start reading at `engine.py`."""
