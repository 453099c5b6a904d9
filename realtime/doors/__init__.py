"""The only room that knows a wire."""
