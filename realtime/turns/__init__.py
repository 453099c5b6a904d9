"""Who has the floor, decided without I/O."""
