"""What Moonshine's own confidence says of a clip: that somebody speaks another language, or that nobody speaks.

It was trained on English alone and writes English whatever it is given, but then it is unsure of most of its pieces. Of
noises, sounds and music it writes nothing. Read `moonshine.py` for who asks.
"""

import numpy as np
from numpy.typing import NDArray

SHORTEST_JUDGED_S = 1.5  # in less there are too few pieces to tell
LONG_S = 3.0
FOREIGN_LONG, FOREIGN_SHORT = -0.55, -0.8  # mean logarithm of the probability of a piece; below it, it is not English.
# Of 960 English clips of 1.5 s and longer (LibriSpeech, LJ Speech, prompts, commands; clean, by telephone, with noise
# 10 dB below) 2 are; of Spanish, French, Italian and Russian prompts of 3 s and longer 78 of 95 (Spanish: 19 of 33),
# of shorter ones 46 of 97. Both limits were chosen on recordings of the same four voices
NOBODY = -0.8  # where no detector found speech, words of shorter clips below it are none: one dog in seven is "Not."
CERTAIN_SPEECH_S = 0.2  # where one did, single words in noise are believed, which score as low


def sounds_foreign(log_probabilities: NDArray[np.float32], duration_s: float) -> bool:
    """Whether so many seconds of speech are of another language, by how sure it was of each piece (n_pieces,)."""
    if duration_s < SHORTEST_JUDGED_S:
        return False
    return bool(log_probabilities.mean() < (FOREIGN_LONG if duration_s >= LONG_S else FOREIGN_SHORT))


def is_believed(log_probabilities: NDArray[np.float32], speech_s: float | None) -> bool:
    """Whether words are taken for words where so many seconds of speech were detected; None: no detector listened."""
    return (speech_s is not None and speech_s >= CERTAIN_SPEECH_S) or bool(log_probabilities.mean() >= NOBODY)
