"""What operators see of a process, in numbers and spans, and never in words: nothing that anybody said is in here."""
