"""The commands of `python app.py`, one file each; `parser.py` says what they take."""
