from pathlib import Path

import pytest

from app import default_cache_dir
from models.voices.lexicon import Lexicon
from models.voices.phonemes import Pronouncer
from models.weights.fetching import weights_folder
from models.weights.packages import KOKORO


@pytest.fixture(scope="module")
def lexicon():
    folder: Path = weights_folder(KOKORO, default_cache_dir())
    return Lexicon(folder)


@pytest.fixture(scope="module")
def pronouncer(lexicon):
    return Pronouncer(lexicon)


def sounds(pronouncer, text):
    return " ".join(piece.sound for piece in pronouncer.pronounce(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The cat.", "ðə kˈæt ."),
        ("The old cat", "ði ˈOld kˈæt"),
        ("to eat, to go", "tʊ ˈit , tə ɡˌO"),
        ("I used to read.", "ˈI jˈust tə ɹˈid ."),
        ("He has read it.", "hi hæz ɹˈɛd ɪt ."),
        ("They record a record.", "ðA ɹəkˈɔɹd ɐ ɹˈɛkəɹd ."),
        ("Plan A", "plˈæn ˈA"),
        ("**Bold** 😀", "bˈOld"),
        ("Dr. Smith's", "dˈɑktəɹ smˈɪθs"),
        ("café", "kæfˈA"),
        ("Wait...", "wˈAt …"),
        ("-5 degrees", "mˈInəs fˈIv dəɡɹˈiz"),
    ],
)
def test_words_sound_as_their_place_demands(pronouncer, text, expected):
    assert sounds(pronouncer, text) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("USA", "jˌuˌɛsˈA"),
        ("AI", "ˈAˌI"),
        ("NASA", "nˈæsə"),
        ("HELLO", "həlˈO"),
        ("John's", "ʤˈɑnz"),
        ("boxes", "bˈɑksᵻz"),
        ("googled", "ɡˈuɡᵊld"),
        ("stopping", "stˈɑpɪŋ"),
        ("replied", "ɹᵻplˈId"),
    ],
)
def test_what_no_dictionary_has_is_put_together_of_what_it_has(lexicon, word, expected):
    assert lexicon.read(word) == expected


def test_an_unknown_word_is_read_by_its_spelling_and_has_one_stress(lexicon):
    assert not lexicon.knows("flurble")
    assert lexicon.read("flurble") == "flˈɜɹbᵊl"
    assert lexicon.read("Tchx").count("ˈ") == 0  # without a vowel


def test_nothing_is_read_of_what_has_no_words(pronouncer):
    assert pronouncer.pronounce("😀 *** --- \u4f60\u597d ...") == [] or sounds(pronouncer, "😀") == ""


def test_each_piece_says_where_in_the_text_it_ends(pronouncer):
    text = "It costs $12.50, he said."
    ends = [piece.end for piece in pronouncer.pronounce(text) if not piece.is_mark]
    assert [text[:end].rsplit(maxsplit=1)[-1] for end in dict.fromkeys(ends)] == ["It", "costs", "$12.50", "he", "said"]
