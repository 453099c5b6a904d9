"""From what a transport or a file delivers to observations of one speaker."""
