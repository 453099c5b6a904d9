"""The options of a store, and what `python app.py store` takes. Read `store.py` for what its commands do."""

from pathlib import Path
from typing import Any

from commands import store
from commands.options import CommandParser, Options

FORMATS = ("markdown", "json", "srt", "vtt", "wav", "zip")


def store_options(*, behind: bool) -> Options:
    """Which store."""
    options = Options(behind=behind)
    options.add_argument(
        "--store",
        metavar="PATH",
        help="keep every conversation, words and sound, in this SQLite file (or sqlite:///PATH), or in "
        "postgresql+psycopg://USER@HOST/DATABASE; nothing is kept if not given",
    )
    options.add_argument(
        "--store-audio",
        type=Path,
        metavar="DIR",
        help="the folder of its sound; beside the file if not given; PostgreSQL needs one, the same for all processes",
    )
    return options


def add_store_commands(parser: Any) -> None:
    """Adds the commands behind `store`."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=CommandParser, required=True)

    def add(name: str, command: Any, help_text: str) -> Any:
        one = commands.add_parser(name, parents=[store_options(behind=True)], help=help_text)
        one.set_defaults(command=command, needs_weights=False)
        return one

    add("list", store.list_all, "list the conversations, the newest first")
    search = add("search", store.search, "print the messages in which all of some words are")
    search.add_argument("words", nargs="+", metavar="word")
    show = add("show", store.show, "print a conversation")
    show.add_argument("id", help="or the beginning of one")
    play = add("play", store.play, "say where a conversation's sound is, or write it into a WAV file")
    play.add_argument("id", help="or the beginning of one")
    play.add_argument("-o", "--output", type=Path, metavar="FILE.wav")
    export = add("export", store.export, "write a conversation, or all of them")
    export.add_argument("id", nargs="?", default="", help="or the beginning of one; all if not given")
    export.add_argument("--format", choices=FORMATS, default="markdown", help="markdown if not given")
    export.add_argument("-o", "--output", type=Path, metavar="FILE", help="stdout for text if not given")
    bring_in = add("import", store.bring_in, "bring in a session that --record kept")
    bring_in.add_argument("recording", type=Path, help="folder of one session, in the folder given to --record")
    delete = add("delete", store.delete, "delete conversations: words, sound and all traces in the store's files")
    delete.add_argument("ids", nargs="+", metavar="id", help="or the beginning of one")
