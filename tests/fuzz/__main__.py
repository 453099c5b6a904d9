"""`python -m tests.fuzz [--seconds N] [--seed S] [--only NAME]`: tries broken inputs for a while.

Prints a table of what was tried and what failed, then one JSON line; exits with 1 if anything failed. Failing cases are
kept in a folder, which it names.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tqdm import tqdm

from tests.fuzz.runner import find_kinds, fuzz


def main() -> int:
    """Runs all kinds, or one, and gives the exit code."""
    kinds = find_kinds()
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Tries broken inputs.")
    parser.add_argument("--seconds", type=float, default=600, help="for all kinds together (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="the same cases again for the same seed (%(default)s)")
    parser.add_argument("--only", choices=tuple(kinds), help="one kind of input alone")
    options = parser.parse_args()
    chosen = [options.only] if options.only else list(kinds)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    outcomes = []
    with tqdm(total=options.seconds, bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} s{postfix}") as bar:

        def advance(taken_s: float) -> None:
            bar.update(min(taken_s, bar.total - bar.n))

        for name in chosen:
            bar.set_postfix_str(name)
            seconds = options.seconds / len(chosen)
            outcomes.append(fuzz(kinds[name], seconds=seconds, seed=options.seed, folder=folder, progress=advance))
    print(f"{'kind':12} {'tried':>8} {'failed':>8}")
    for outcome in outcomes:
        listed = ", ".join(f"{count} {name}" for name, count in outcome.failures.most_common())
        print(f"{outcome.name:12} {outcome.tried:8} {outcome.failures.total():8}  {listed}")
    failed = any(outcome.failures for outcome in outcomes)
    if failed:
        print(f"The failing cases are in {folder}")
    else:
        folder.rmdir()
    tried = {outcome.name: {"tried": outcome.tried, "failures": outcome.failures} for outcome in outcomes}
    print(json.dumps({"benchmark": "fuzz", "seed": options.seed, "seconds": options.seconds, "kinds": tried}))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
