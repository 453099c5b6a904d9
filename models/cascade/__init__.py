"""Models of two parts: ears write speech down, a text model answers. Start reading at `cascade.py`."""
