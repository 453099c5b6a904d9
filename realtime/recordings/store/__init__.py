"""Conversations kept in a database, with their sound in files beside it; off unless somebody gives `--store`.

`database.py` opens a store and brings it to this version, `tables.py` says what it holds, `stored_session.py` is the
tap that keeps a session, and `writer.py` the thread on which that is written. `reading.py`, `exporting.py`,
`importing.py` and `deleting.py` are what a person does with it afterwards; `sound.py` has the files.
"""
