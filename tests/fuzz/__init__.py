"""Broken inputs, made up by chance: `python -m tests.fuzz`.

Each kind of input is a module here with `NAME: str`, `make_case(rng: random.Random) -> bytes`, and
`check(case: bytes) -> None`, which raises where the case shows a fault. `runner.py` finds and runs them.
"""
