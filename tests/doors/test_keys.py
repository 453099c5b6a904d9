"""Files of keys: what they hold, what is refused, and how a server notices a change."""

import logging
import os
import resource
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app import main
from realtime.doors.keys import KEY_BYTES, KeyFile, KeyFileError, add_key, digest_of, read_keys, remove_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "earpiece.keys"


def write(path: Path, content: str) -> None:
    """Puts another version there, which is noticed although it may come within the same tick of the clock."""
    other = path.with_suffix(".new")
    other.write_text(content)
    other.chmod(0o600)
    other.replace(path)


def test_a_key_is_random_and_only_its_hash_is_kept(path: Path) -> None:
    key = add_key(path, "anna")
    assert key.startswith("ep_") and len(key) > KEY_BYTES * 8 / 6
    assert key != add_key(path, "ben")
    assert key not in path.read_text() and digest_of(key) in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [(each.name, len(each.created)) for each in read_keys(path)] == [("anna", 10), ("ben", 10)]
    keys = KeyFile(path)
    found = keys.find(key)
    assert found is not None and found.name == "anna"
    for wrong in ("", "ep_", key[:-1], key + "x", key.upper(), digest_of(key), "ep_é\udcff", "ep_" + "x" * 10_000):
        assert keys.find(wrong) is None


def test_the_commands_make_list_and_remove_keys(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["key", "new", "anna", "--file", str(path)]) == 0
    told = capsys.readouterr()
    found = KeyFile(path).find(told.out.strip())
    assert found is not None and found.name == "anna"
    assert "shown this once" in told.err
    monkeypatch.setenv("EARPIECE_API_KEYS", str(path))
    assert main(["key", "list"]) == 0
    assert capsys.readouterr().out == f"{found.created}  anna\n"
    assert main(["key", "new", "anna"]) == 2
    assert "there is a key named anna" in capsys.readouterr().err
    assert main(["key", "remove", "anna"]) == 0
    assert main(["key", "remove", "anna"]) == 2
    assert "there is no key named anna" in capsys.readouterr().err
    assert read_keys(path) == ()


@pytest.mark.parametrize("name", ["", "two words", "-x", "a" * 65, "anna\n", "ä", "a/b"])
def test_names_that_cannot_be(name: str, path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot name a key"):
        add_key(path, name)
    assert not path.exists()


GOOD = f"anna sha256:{'a' * 64} 2026-11-27\n"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "there is no key in it"),
        ("# only a remark\n\n", "there is no key in it"),
        ("anna\n", "line 1: this is no key"),
        (GOOD + "ep_secret\n", "line 2: this is no key"),
        (GOOD.replace("a" * 64, "a" * 63), "line 1: this is no key"),
        (GOOD + GOOD, "line 2: anna is there twice"),
        ("\0\0\0", "line 1: this is no key"),
        ("x" * 1_000_001, "more than 1000000 bytes"),
    ],
)
def test_a_broken_file_is_refused_with_a_sentence(content: str, complaint: str, path: Path) -> None:
    write(path, content)
    with pytest.raises(KeyFileError, match=complaint) as raised:
        KeyFile(path)
    assert str(path) in str(raised.value)
    assert "secret" not in str(raised.value), "somebody may have put a key there"


@pytest.mark.parametrize(
    ("mode", "is_private"), [(0o600, True), (0o400, True), (0o440, True), (0o644, False), (0o660, False)]
)
def test_a_file_that_others_can_read_or_change_is_refused(mode: int, is_private: bool, path: Path) -> None:
    add_key(path, "anna")
    path.chmod(mode)
    if is_private:
        assert KeyFile(path).named("anna")
    else:
        with pytest.raises(KeyFileError, match="others can read or change it; make it private with chmod 600"):
            KeyFile(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(KeyFileError, match="the keys cannot be read"):
            KeyFile(path)


def test_a_change_is_noticed_and_a_broken_one_is_not_taken(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = add_key(path, "anna")
    keys = KeyFile(path)
    second = add_key(path, "ben")
    assert keys.find(first) and keys.find(second)
    caplog.set_level(logging.WARNING)
    for spoil in (lambda: write(path, "nonsense"), lambda: path.chmod(0o644), path.unlink):
        caplog.clear()
        spoil()
        for _ in range(3):
            assert keys.find(first) and keys.find(second)
        assert [record.levelno for record in caplog.records] == [logging.ERROR], "once, not at each request"
        assert "the keys that were there before are still good" in caplog.text
    third = add_key(path, "clara")
    assert keys.find(third) and not keys.find(first)


def test_a_key_that_is_removed_is_good_no_more_the_last_one_too(path: Path) -> None:
    key = add_key(path, "anna")
    keys = KeyFile(path)
    old = keys.named("anna")
    assert old is not None and keys.holds("anna", old.id)
    remove_key(path, "anna")
    assert not keys.find(key) and not keys.holds("anna", old.id)
    add_key(path, "anna")
    assert not keys.find(key) and not keys.holds("anna", old.id), "another key has the name now"


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="the keys cannot be written"):
        add_key(tmp_path / "no" / "folder", "anna")
    assert list(tmp_path.iterdir()) == []


def test_commands_at_the_same_time_lose_nothing(path: Path) -> None:
    """One that wrote back what it had read before would bring back a key that another has just removed."""
    for number in range(8):
        add_key(path, f"old-{number}")

    def change(number: int) -> None:
        add_key(path, f"new-{number}")
        remove_key(path, f"old-{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(change, range(8)))
    assert {key.name for key in read_keys(path)} == {f"new-{number}" for number in range(8)}


def test_who_could_read_the_file_can_read_the_next_one(path: Path) -> None:
    add_key(path, "anna")
    path.chmod(0o440)
    if os.getuid() == 0:
        os.chown(path, 12345, 12346)
    before = path.stat()
    add_key(path, "ben")
    remove_key(path, "anna")
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def test_a_removed_key_is_noticed_although_the_file_could_not_be_opened_at_first(path: Path) -> None:
    anna, ben = add_key(path, "anna"), add_key(path, "ben")
    keys = KeyFile(path)
    remove_key(path, "anna")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))  # as when strangers hold all that there are
    try:
        assert keys.find(ben)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert keys.find(anna) is None and keys.find(ben)


def test_a_change_is_noticed_that_keeps_size_and_time(path: Path) -> None:
    anna = add_key(path, "anna")
    keys = KeyFile(path)
    before = path.stat()
    content = path.read_text().replace("anna", "ben_")
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # the clock of files ticks every few milliseconds
        path.write_text(content)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    found = keys.find(anna)
    assert found is not None and found.name == "ben_"
