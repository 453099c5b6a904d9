"""Which voices there are: Kokoro's American ones that read best, and a British one. Read `kokoro.py` for who speaks."""

from models.types import VoiceInfo

VOICES = (
    VoiceInfo("af_heart", "en", "Heart, a woman, American; the clearest"),
    VoiceInfo("af_bella", "en", "Bella, a woman, American; lively"),
    VoiceInfo("am_michael", "en", "Michael, a man, American; calm"),
    VoiceInfo("am_fenrir", "en", "Fenrir, a man, American; deep"),
    VoiceInfo("am_puck", "en", "Puck, a man, American; bright"),
    VoiceInfo("bf_emma", "en", "Emma, a woman, British; with American words"),
)
VOICE_NAMES = tuple(voice.name for voice in VOICES)
