"""The versions of the database, one file each in `versions/`, in the order in which they follow one another.

A file that has been released is never changed: what comes next is a new one. `database.py` runs them at every start.
"""
