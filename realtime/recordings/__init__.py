"""Taps on a session: what listens at its inbox and outbox."""
