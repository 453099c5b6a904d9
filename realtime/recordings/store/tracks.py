"""The sound of one conversation while it goes on: a file for each track, made when its first sample comes.

The row is written before the file, so that whoever deletes a conversation knows of every file. All of this is done on
the thread of `writer.py`. Read `sound.py` for the files.
"""

from pathlib import Path

from realtime.recordings.recorder import make_private_folder
from realtime.recordings.store import rows
from realtime.recordings.store.database import Store
from realtime.recordings.store.sound import Pcm, SoundWriter

USER, ANSWERS = "user", "answers"
SENT = "file"  # and a number: what the user sent


def user_track(speaker: str | None) -> str:
    """The track of a speaker; None: there is one alone."""
    return USER if speaker is None else f"{USER}-{speaker}"


class Tracks:
    """The tracks of a conversation.

    Args:
        store: where they are kept.
        conversation: its id.
    """

    def __init__(self, store: Store, conversation: str) -> None:
        self._store = store
        self._conversation = conversation
        self._writers: dict[str, SoundWriter] = {}

    @property
    def n_samples(self) -> dict[str, int]:
        """How long each track is."""
        return {track: writer.n_samples for track, writer in self._writers.items()}

    def write(self, track: str, rate_hz: int, samples: Pcm, position: int | None = None) -> None:
        """Adds samples, (n_samples,), at a position of the track; at its end if none is given.

        Raises:
            StoreError: the row cannot be written.
            OSError: the file cannot.
        """
        writer = self._writers.get(track) or self._open(track, rate_hz)
        writer.write(samples, position)

    def close(self) -> None:
        """Closes all files, also those behind one that cannot be closed; raises the `OSError` of the last of these."""
        failure: OSError | None = None
        for writer in self._writers.values():
            try:
                writer.close()
            except OSError as error:
                failure = error
        self._writers = {}
        if failure is not None:
            raise failure

    def _open(self, track: str, rate_hz: int) -> SoundWriter:
        path = Path(self._conversation) / f"{track}.oga"
        with self._store.writing() as connection:
            rows.add_sound(connection, self._conversation, track, path=str(path), rate_hz=rate_hz)
        make_private_folder(self._store.sounds / path.parent)
        writer = self._writers[track] = SoundWriter(self._store.sounds / path, rate_hz)
        return writer
