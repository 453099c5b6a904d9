"""`python app.py models`: lists the models."""

import argparse

from models.catalogue import MODELS


def list_models(_: argparse.Namespace) -> None:
    """Prints what there is to choose from."""
    from rich.console import Console
    from rich.padding import Padding

    console = Console(highlight=False)
    for info in MODELS.values():
        facts = [info.parameters, f"{info.memory_gb:g} GB", info.languages, info.licence]
        facts += ["gated: the hub asks for consent"] if info.gated else []
        console.print(f"[bold]{info.name}[/bold]  " + " · ".join(facts))
        console.print(Padding(info.description, (0, 0, 0, 4)))
        console.print(Padding(", ".join(info.checkpoints), (0, 0, 0, 4)), style="dim")
    console.print("\nTake one with --model NAME; a hub id or folder of another checkpoint of these families works too.")
