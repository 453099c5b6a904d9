"""Recordings that people bring to the server: they are kept, written down, noted, and can be asked about.

`archive.py` is what a door knows of it. `intake.py` takes a file, `work.py` does the work on one recording, in the
background (`background.py`), so that nobody who talks waits for it. `asking.py` answers questions. What is kept is in
the store; read `realtime/recordings/store/` for that, `realtime/review/` for how a recording is listened to.
"""
