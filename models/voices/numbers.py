"""Numbers in English words: cardinals, ordinals, years, decimals, amounts of money and times of day.

It takes digits as people write them and gives words in lower case, without hyphens or commas, as they are read aloud in
the United States. Read `phonemes.py` for who asks.
"""

import re

_SMALL_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS_NAMES = "zero ten twenty thirty forty fifty sixty seventy eighty ninety"
_ONES, _TENS = _SMALL_NUMBERS.split(), _TENS_NAMES.split()
_SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_UNITS = {"$": ("dollar", "cent"), "€": ("euro", "cent"), "£": ("pound", "penny")}
MAX_DIGITS = 15  # of a number that is read as one; longer ones, of a card or a key, digit by digit

NUMBER = re.compile(
    r"(?P<currency>[$€£])?(?P<whole>\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
    r"(?:(?P<ordinal>st|nd|rd|th)\b|:(?P<minutes>[0-5]\d)(?!\d)|\.(?P<fraction>\d+))?(?P<percent>\s?%)?"
    r"(?P<plural>s\b)?"
)


def in_words(match: re.Match[str]) -> list[str]:
    """The words of what `NUMBER` has found.

    A whole number of four digits from 1100 to 2099 is taken for a year, as in most sentences it is one.
    """
    digits = match["whole"].replace(",", "")
    if len(digits) > MAX_DIGITS or (len(digits) > 1 and digits[0] == "0"):
        words = [_ONES[int(digit)] for digit in digits + (match["fraction"] or "")]
    elif match["currency"]:
        words = _money(int(digits), match["fraction"], match["currency"])
    elif match["ordinal"]:
        words = ordinal(int(digits))
    elif match["minutes"]:
        words = _time(int(digits), int(match["minutes"]))
    elif match["fraction"]:
        words = [*cardinal(int(digits)), "point", *(_ONES[int(digit)] for digit in match["fraction"])]
    elif len(match["whole"]) == 4 and 1100 <= int(digits) < 2100:
        words = year(int(digits))
    else:
        words = cardinal(int(digits))
    if match["percent"]:
        words.append("percent")
    if match["plural"]:
        words[-1] = words[-1].removesuffix("y") + ("ies" if words[-1].endswith("y") else "s")
    return words


def cardinal(number: int) -> list[str]:
    """The words of a whole number, 0 or more."""
    for scale, name in _SCALES:
        if number >= scale:
            rest = number % scale
            return [*cardinal(number // scale), name, *(cardinal(rest) if rest else ())]
    if number < 20:
        return [_ONES[number]]
    return [_TENS[number // 10], *([_ONES[number % 10]] if number % 10 else ())]


def ordinal(number: int) -> list[str]:
    """The words of its ordinal: "twenty first"."""
    *before, last = cardinal(number)
    if last.endswith("y"):
        return [*before, f"{last[:-1]}ieth"]
    return [*before, _ORDINALS.get(last, f"{last}th")]


def year(number: int) -> list[str]:
    """The words of a year from 1100 to 2099."""
    century, rest = divmod(number, 100)
    if 2000 <= number < 2010:
        return cardinal(number)
    if rest == 0:
        return [*cardinal(century), "hundred"]
    return [*cardinal(century), *(("oh",) if rest < 10 else ()), *cardinal(rest)]


def _time(hours: int, minutes: int) -> list[str]:
    if minutes == 0:
        return [*cardinal(hours), *(("o'clock",) if 0 < hours <= 12 else ("hundred",))]
    return [*cardinal(hours), *(("oh",) if minutes < 10 else ()), *cardinal(minutes)]


def _money(whole: int, fraction: str | None, currency: str) -> list[str]:
    unit, small = _UNITS[currency]
    if fraction and len(fraction) != 2:  # "$1.5", of a million perhaps
        return [*cardinal(whole), "point", *(_ONES[int(digit)] for digit in fraction), f"{unit}s"]
    words = [*cardinal(whole), unit if whole == 1 else f"{unit}s"]
    if fraction and int(fraction):
        many = "pence" if small == "penny" else f"{small}s"
        words += ["and", *cardinal(int(fraction)), small if int(fraction) == 1 else many]
    return words
