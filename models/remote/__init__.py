"""Somebody else's engine: any server that speaks OpenAI's chat completions, behind the one interface of all models."""
