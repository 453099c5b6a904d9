"""How one English word sounds: by dictionary, by its endings, by its parts, by its letters, or by its spelling.

The dictionaries are misaki's, gold before silver: a word gives its phonemes, or one pronunciation for each role that it
may have in a sentence. What they lack is put together. Read `phonemes.py` for whole sentences, `spelling.py` for what
is left.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from models.voices.spelling import SECOND_STRESS, STRESS, read_spelling, stressed

GOLD, SILVER = "us_gold.json", "us_silver.json"  # files
Entry = str | Mapping[str, str | None]

_VOICELESS, _HISSING = frozenset("ptkfθ"), frozenset("szʃʒʧʤ")
_FLAPPED_AFTER = frozenset("AIOWYiuæɑəɛɪɹʊʌ")  # a "t" between one of these and a vowel is a tap
_PREFIXES = {"un": "ʌn", "re": "ɹi", "non": "nˌɑn", "pre": "pɹi", "over": "ˌOvəɹ", "multi": "mˌʌlti", "mis": "mɪs"}
_MORE_ENDINGS = {
    "ly": "li",
    "ness": "nəs",
    "less": "ləs",
    "ful": "fᵊl",
    "able": "əbᵊl",
    "er": "əɹ",
    "est": "əst",
    "y": "i",
}
_CONTRACTIONS = {"'s": "", "'ll": "ᵊl", "'ve": "əv", "'d": "d", "'re": "əɹ", "'m": "m"}
MAX_SPELLED = 5  # capital letters that are no word are read one by one, up to so many
MIN_PART = 3  # letters of each half of a compound
_INNER = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z']+")  # the parts of "ChatGPT"


class Lexicon:
    """The dictionaries, and what is put together of what is in them.

    Args:
        folder: holds both files.
    """

    def __init__(self, folder: Path) -> None:
        self._entries: dict[str, Entry] = {}
        for name in (SILVER, GOLD):
            self._entries.update(json.loads((folder / name).read_text("utf-8")))

    def knows(self, word: str) -> bool:
        """Whether a word is read by more than its spelling."""
        return self._read(word, "DEFAULT") is not None

    def read(self, word: str, role: str = "DEFAULT") -> str:
        """The phonemes of a word.

        Args:
            word: letters, with apostrophes inside.
            role: that it has in its sentence, as the dictionaries name it: "VERB", "VBN"; "None" where nothing follows.

        Returns:
            Phonemes; "" if it has no letter that can be read.
        """
        known = self._read(word, role)
        if known is not None:
            return known
        letters = _without_accents(word)
        parts = _INNER.findall(letters)
        if len(parts) > 1:
            return "".join(self.read(part) for part in parts)
        return read_spelling("".join(letter for letter in letters.lower() if "a" <= letter <= "z"))

    def spell(self, letters: str) -> str:
        """The names of letters one after the other; the last one has the stress."""
        names = [self._find(letter.upper(), "DEFAULT") or "" for letter in letters]
        weak = [name.replace(STRESS, SECOND_STRESS) for name in names[:-1]]
        return "".join([*weak, stressed(names[-1])]) if names else ""

    def _read(self, word: str, role: str) -> str | None:
        if word.isupper() and len(word) > 1:
            return self._read_capitals(word, role)
        plain = _without_accents(word)
        for form in dict.fromkeys((word, word.lower(), word.capitalize(), plain.lower(), plain.capitalize())):
            found = self._find(form, role)
            if found is not None:
                return found
        return self._put_together(plain.lower(), role)

    def _find(self, word: str, role: str) -> str | None:
        entry = self._entries.get(word)
        if entry is None or isinstance(entry, str):
            return entry
        return entry.get(role) or entry["DEFAULT"]

    def _read_capitals(self, word: str, role: str) -> str | None:
        """A word in capitals: one that is written so, letters, or a word that is shouted."""
        entry = self._entries.get(word)
        is_letters = isinstance(entry, Mapping) and entry.get("NOUN", "") is None
        if entry is not None and not is_letters:
            return self._find(word, role)
        if not is_letters:
            shouted = self._read(word.lower(), role) if word.lower() in self._entries else None
            if shouted is not None or len(word) > MAX_SPELLED:
                return shouted or self._put_together(word.lower(), role)
        return self.spell(word)

    def _put_together(self, word: str, role: str) -> str | None:
        if "'" in word:
            return self._contracted(word, role)
        return self._inflected(word, role) or self._derived(word, role) or self._compound(word)

    def _contracted(self, word: str, role: str) -> str | None:
        stem, _, ending = word.rpartition("'")
        read = self._read(stem, role) if stem else None
        sound = _CONTRACTIONS.get(f"'{ending}")
        if read is None or (sound is None and ending):
            return None
        return read if not ending else _with_s(read) if ending == "s" else f"{read}{sound}"

    def _inflected(self, word: str, role: str) -> str | None:
        """With one of the endings -s, -ed and -ing."""
        for ending, inflect in (("s", _with_s), ("d", _with_ed), ("ing", _with_ing)):
            if word.endswith(ending) and not word.endswith(("ss", "dd")):
                for stem in _stems(word, ending):
                    found = self._find(stem, role) if len(stem) > 1 else None
                    if found:
                        return inflect(found)
        return None

    def _derived(self, word: str, role: str) -> str | None:
        for ending, sound in _MORE_ENDINGS.items():
            if word.endswith(ending):
                for stem in (word[: -len(ending)], f"{word[: -len(ending)]}e"):
                    found = self._find(stem, role) if len(stem) >= MIN_PART else None
                    if found:
                        return f"{found}{sound}"
        for prefix, sound in _PREFIXES.items():
            rest = word.removeprefix(prefix)
            if len(rest) >= MIN_PART and rest != word:
                found = self._find(rest, role) or self._inflected(rest, role)
                if found:
                    return f"{sound}{found}"
        return None

    def _compound(self, word: str) -> str | None:
        """Of two words, the first of which has the stress; the longer the first is, the better."""
        for cut in range(len(word) - MIN_PART, MIN_PART - 1, -1):
            first = self._find(word[:cut], "DEFAULT")
            second = first and (self._find(word[cut:], "DEFAULT") or self._inflected(word[cut:], "DEFAULT"))
            if first and second:
                return f"{first}{second.replace(STRESS, SECOND_STRESS)}"
        return None


def _without_accents(word: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))


def _stems(word: str, ending: str) -> list[str]:
    """What a word may be without its ending, the likeliest first."""
    bare = word[: -len(ending)]
    match ending:
        case "s":
            stems = [bare, *([bare[:-1]] if bare.endswith("e") else [])]
            return [*stems, f"{bare[:-2]}y"] if bare.endswith("ie") else stems
        case "d":
            if not bare.endswith("e"):
                return []
            stems = [bare, bare[:-1]]
            bare = bare[:-1]
        case _:
            stems = [bare, f"{bare}e"]
    if len(bare) > 2 and bare[-1] == bare[-2]:  # "stopped", "stopping"
        stems.append(bare[:-1])
    return [*stems, f"{bare[:-1]}y"] if bare.endswith("i") else stems  # "replied"


def _with_s(stem: str) -> str:
    if stem[-1] in _VOICELESS:
        return f"{stem}s"
    return f"{stem}ᵻz" if stem[-1] in _HISSING else f"{stem}z"


def _with_ed(stem: str) -> str:
    if stem[-1] in "pkfθʃsʧ":
        return f"{stem}t"
    return f"{_tapped(stem)}ᵻd" if stem[-1] in "td" else f"{stem}d"


def _with_ing(stem: str) -> str:
    return f"{_tapped(stem)}ɪŋ"


def _tapped(stem: str) -> str:
    """A stem before a vowel."""
    return f"{stem[:-1]}ɾ" if len(stem) > 1 and stem[-1] == "t" and stem[-2] in _FLAPPED_AFTER else stem
