"""What a terminal shows of a call: who said what, and what was suggested, with the times of the call.

A suggestion that is withdrawn is said to be. Read `event_lines.py` for all events.
"""

from rich.console import Console

from realtime.events import (
    ErrorReported,
    MessageAdded,
    MessageTranscribed,
    ResponseDelta,
    ResponseDone,
    ResponseRetracted,
    SessionEvent,
    SpeakerTold,
    UserSpeechStarted,
)
from realtime.notes.writing import clock


class CallLines:
    """Shows one event after another.

    Args:
        console: where; stdout if not given.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._begun_s: dict[str, float] = {}
        self._speakers: dict[str, str] = {}
        self._shown: set[str] = set()
        self._is_in_line = False

    def show(self, event: SessionEvent) -> None:
        """Shows one, if people want to read it."""
        match event:
            case UserSpeechStarted(item_id=item_id, audio_start_ms=start_ms):
                self._begun_s[item_id] = start_ms / 1000
            case MessageAdded(item_id=item_id, role="user", speaker=str(speaker)):
                self._speakers[item_id] = speaker
            case SpeakerTold(item_id=item_id, speaker=speaker):
                self._speakers[item_id] = speaker
                if item_id in self._shown:
                    self._line(f"{self._at(item_id)} was {speaker}")
            case MessageTranscribed(item_id=item_id, transcript=transcript):
                self._shown.add(item_id)
                self._line(f"{self._at(item_id)} {self._speakers.get(item_id, '')}: {transcript}")
            case ResponseDelta(delta=delta):
                self._write(delta if self._is_in_line else f"       → {delta}")
                self._is_in_line = True
            case ResponseRetracted():
                self._remark("withdrawn: they went on")
            case ResponseDone(text=str(text), status=status, response_latency_s=latency_s) if text:
                after = "" if latency_s is None else f"{latency_s:.2f} s after they ended"
                self._remark(", ".join(part for part in (after, "stopped: I spoke" * (status == "cancelled")) if part))
            case ErrorReported(message=message):
                self._line(f"       ! {message}")

    def _at(self, item_id: str) -> str:
        """Where a turn began."""
        return f"{clock(self._begun_s.get(item_id, 0.0)):>6}"

    def _remark(self, text: str) -> None:
        """Ends the suggestion under way with a remark; on a line of its own where others have come in between."""
        self._write(f"  ({text})\n" if self._is_in_line else f"         ({text})\n")
        self._is_in_line = False

    def _line(self, text: str) -> None:
        self._write(f"\n{text}\n" if self._is_in_line else f"{text}\n")
        self._is_in_line = False

    def _write(self, text: str) -> None:
        self._console.print(text, end="", markup=False, emoji=False, soft_wrap=True)
        self._console.file.flush()
