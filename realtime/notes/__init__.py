"""Notes: what was decided, who is to do what until when, what stays open, and where in the sound each was said."""
