"""Earpiece with vLLM itself, in an environment of its own: `make test-engine`. The suite leaves it out.

Its file is named so that pytest collects it only where it is asked for by name.
"""
