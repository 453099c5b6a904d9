"""The commands of `python app.py`, one file each; `parser.py` says what they take."""

VERSION = "0.1.0"  # pyproject.toml reads it here
