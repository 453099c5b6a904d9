"""Languages by their names in English, for sentences that say which ones ears know."""

from collections.abc import Sequence

NAMES = {  # ISO 639-1, of languages that audio models and recognisers name most
    "ar": "Arabic",
    "bg": "Bulgarian",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "et": "Estonian",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hr": "Croatian",
    "hu": "Hungarian",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sk": "Slovak",
    "sl": "Slovenian",
    "sv": "Swedish",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
}


def what_is_understood(languages: Sequence[str]) -> str:
    """What ears that know these languages say to somebody who speaks another one.

    Args:
        languages: in two letters (ISO 639-1); none where that is not known. One without a name here stays as it is.
    """
    if not languages:
        return "I do not understand this language."
    *most, last = [NAMES.get(language, language) for language in languages]
    return f"I understand only {', '.join(most)} and {last}." if most else f"I understand only {last}."
