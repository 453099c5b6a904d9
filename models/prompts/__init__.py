"""Conversations written down for a language model: text tokens, marks and audio, in its own format."""
