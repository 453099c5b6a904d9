"""How a word may sound that no dictionary has, by how it is spelled: rough, but understood more often than not.

The longest group of letters that a rule knows is read first, from the left. Stress falls on the first vowel.
Read `phonemes.py` for what is tried before.
"""

VOWELS = frozenset("AIOWYaiuæɑɔəɛɜɪʊʌᵻ")
STRESS, SECOND_STRESS = "ˈ", "ˌ"

_AT_START = {"kn": "n", "gn": "n", "wr": "ɹ", "ps": "s", "x": "z", "wh": "w", "mc": "mək", "rh": "ɹ", "y": "j"}
_AT_END = {
    **{"e": "", "es": "z", "ed": "d", "y": "i", "ies": "iz", "le": "ᵊl", "re": "əɹ", "gue": "ɡ", "que": "k"},
    **{"mb": "m", "ough": "O", "o": "O", "a": "ə", "i": "i", "ia": "iə", "ous": "əs", "al": "ᵊl", "er": "əɹ"},
    **{"or": "əɹ", "ity": "əɾi", "ism": "ˌɪzᵊm", "age": "ɪʤ", "ture": "ʧəɹ", "ment": "mᵊnt", "ness": "nəs", "um": "əm"},
    **{"us": "əs", "is": "ɪs", "ing": "ɪŋ", "on": "ən", "en": "ən", "an": "ən", "am": "əm", "in": "ɪn"},
}
_ANYWHERE = {
    **{
        "tion": "ʃən",
        "sion": "ʒən",
        "cian": "ʃən",
        "cial": "ʃəl",
        "tial": "ʃəl",
        "ough": "ʌf",
        "augh": "ɔ",
        "igh": "I",
    },
    **{"eigh": "A", "tch": "ʧ", "dge": "ʤ", "sch": "sk", "sh": "ʃ", "ch": "ʧ", "th": "θ", "ph": "f", "gh": "ɡ"},
    **{"ck": "k", "ng": "ŋ", "nk": "ŋk", "qu": "kw", "wh": "w", "ee": "i", "ea": "i", "oo": "u", "oa": "O", "ai": "A"},
    **{"ay": "A", "ei": "A", "ey": "i", "ie": "i", "oi": "Y", "oy": "Y", "ou": "W", "ow": "O", "au": "ɔ", "aw": "ɔ"},
    **{"ew": "u", "eu": "ju", "ue": "u", "ui": "u", "ar": "ɑɹ", "er": "əɹ", "ir": "ɜɹ", "ur": "ɜɹ", "or": "ɔɹ"},
    **{"ear": "ɪɹ", "eer": "ɪɹ", "air": "ɛɹ", "are": "ɛɹ", "ore": "ɔɹ", "ire": "Iəɹ", "ce": "s", "ci": "sɪ"},
    **{"cy": "si", "ge": "ʤ", "gi": "ʤɪ", "x": "ks", "a": "æ", "b": "b", "c": "k", "d": "d", "e": "ɛ", "f": "f"},
    **{"g": "ɡ", "h": "h", "i": "ɪ", "j": "ʤ", "k": "k", "l": "l", "m": "m", "n": "n", "o": "ɑ", "p": "p", "q": "k"},
    **{"r": "ɹ", "s": "s", "t": "t", "u": "ʌ", "v": "v", "w": "w", "y": "ɪ", "z": "z"},
}
_SILENT_E = {"a": "A", "e": "i", "i": "I", "o": "O", "u": "u", "y": "I"}
_CONSONANTS = frozenset("bcdfghjklmnpqrstvwxz")
_LONGEST = 4


def read_spelling(word: str) -> str:
    """The phonemes of a word.

    Args:
        word: of the letters a to z.
    """
    sounds, at = "", 0
    while at < len(word):
        n_letters, sound = _next(word, at)
        sounds += sound
        at += n_letters
    return stressed(sounds)


def stressed(sounds: str) -> str:
    """The same with stress before its first vowel, if it has none."""
    first = next((index for index, sound in enumerate(sounds) if sound in VOWELS), None)
    if first is None or STRESS in sounds:
        return sounds
    return f"{sounds[:first]}{STRESS}{sounds[first:]}"


def _next(word: str, at: int) -> tuple[int, str]:
    """How many letters the next group has, and how they sound."""
    rest = word[at:]
    if len(rest) > 1 and rest[0] == rest[1] and rest[0] in _CONSONANTS:
        return 1, ""  # the second of them is read
    if at > 0 and rest in _AT_END and _has_vowel(word[:at]):
        return len(rest), _AT_END[rest]
    if at == 0:
        for start, sound in _AT_START.items():
            if rest.startswith(start) and len(rest) > len(start):
                return len(start), sound
    if rest[0] in _SILENT_E and len(rest) == 3 and rest[1] in _CONSONANTS - {"x", "w"} and rest[2] == "e":
        return 1, _SILENT_E[rest[0]]
    for n_letters in range(min(_LONGEST, len(rest)), 0, -1):
        if rest[:n_letters] in _ANYWHERE:
            return n_letters, _ANYWHERE[rest[:n_letters]]
    return 1, ""


def _has_vowel(letters: str) -> bool:
    return any(letter in "aeiouy" for letter in letters)
