"""The pieces of words that Moonshine writes, as `tokenizer.bin` lists them: bytes, with "▁" for a space.

Each entry is its length and its bytes; a length of 128 or more takes two bytes, the lower seven bits first. The first
three mean no text, the next 256 are single bytes. Read `moonshine.py` for who writes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PIECES = "tokenizer.bin"  # the file
START, END = 1, 2
FIRST_TEXT = 3  # after <unk>, <s>, </s>
SPACE = "▁".encode()


@dataclass(frozen=True, slots=True)
class Spelled:
    """One word, and which of the tokens are its own.

    Attributes:
        text: without spaces.
        start: index of its first token.
        end: index behind its last one.
    """

    text: str
    start: int
    end: int


def read_pieces(path: Path) -> list[bytes]:
    """Reads all pieces in the order of their tokens.

    Raises:
        ValueError: the file breaks off.
    """
    content, pieces, at = path.read_bytes(), [], 0
    while at < len(content):
        length, at = content[at], at + 1
        if length >= 128:
            if at == len(content):
                raise ValueError(f"{path} breaks off")
            length, at = content[at] * 128 + length - 128, at + 1
        pieces.append(content[at : at + length])
        at += length
    if at != len(content) or len(pieces) <= FIRST_TEXT:
        raise ValueError(f"{path} breaks off")
    return pieces


def spell(pieces: Sequence[bytes], tokens: Sequence[int]) -> list[Spelled]:
    """Puts tokens together to words; those that mean no text are left out."""
    words: list[Spelled] = []
    start, spelled = 0, b""
    for index, token in enumerate(tokens):
        piece = pieces[token] if FIRST_TEXT <= token < len(pieces) else b""
        if piece.startswith(SPACE) and spelled:
            words.append(Spelled(_text(spelled), start, index))
            start, spelled = index, b""
        spelled += piece
    return [word for word in (*words, Spelled(_text(spelled), start, len(tokens))) if word.text]


def is_sounded(piece: bytes) -> bool:
    """Whether a piece is more than marks and spaces."""
    return any(character.isalnum() for character in piece.decode(errors="ignore"))


def _text(spelled: bytes) -> str:
    """Bytes that are no whole character are left out."""
    return spelled.replace(SPACE, b"").decode(errors="ignore").strip()
