"""Dividing a recording among tokens by where they were looked for; reading the pieces of words."""

from pathlib import Path

import numpy as np
import pytest

from models.ears.alignment import first_frames, without_pauses
from models.ears.pieces import read_pieces, spell


def test_each_token_has_the_frames_that_were_looked_at_for_it() -> None:
    looked_at = np.full((3, 9), 0.01, np.float32)
    looked_at[0, 1:3] = looked_at[1, 3:7] = looked_at[2, 7:9] = 0.9
    assert first_frames(looked_at).tolist()[1:] == [3, 7, 9]


def test_tokens_keep_their_order_wherever_was_looked() -> None:
    looked_at = np.random.default_rng(0).random((20, 12)).astype(np.float32)
    frames = first_frames(looked_at)
    assert len(frames) == 21
    assert (np.diff(frames) >= 0).all()
    assert (frames[0], frames[-1]) == (0, 12)


def test_the_edges_of_a_word_move_past_what_is_quiet() -> None:
    samples = np.zeros(16_000, np.float32)
    samples[6_400:9_600] = 0.5
    assert without_pauses(samples, 3_200, 12_800) == (6_400, 9_600)
    assert without_pauses(samples, 100, 200) == (100, 200), "shorter than a step"


def test_pieces_become_words(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.bin"
    texts = [b"<unk>", b"<s>", b"</s>", "▁Pl".encode(), b"ease", b",", "▁g".encode(), b"\xc3", b"\xa9", b"x" * 200]
    lengths = [bytes([len(t)]) if len(t) < 128 else bytes([len(t) % 128 + 128, len(t) // 128]) for t in texts]
    file.write_bytes(b"".join(length + text for length, text in zip(lengths, texts, strict=True)))
    pieces = read_pieces(file)
    assert pieces == texts
    words = spell(pieces, [3, 4, 5, 6, 7, 8, 2])
    assert [(word.text, word.start, word.end) for word in words] == [("Please,", 0, 3), ("gé", 3, 7)]
    assert spell(pieces, []) == []
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match="breaks off"):
        read_pieces(file)
