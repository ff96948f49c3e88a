"""Being told of new files in local folders, with real folders and a real kernel."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool.transports import watch
from spool.transports.watch import Watch
from tests.waiting import soon

pytestmark = pytest.mark.skipif(not hasattr(os, "O_PATH"), reason="inotify is Linux's")


class Ear:
    """A watch that counts."""

    def __init__(self, *folders: Path) -> None:
        self.heard = threading.Event()
        self.watch = Watch([str(folder) for folder in folders], self.heard.set, again_s=0.05)

    def hears(self, within_s: float = 3.0) -> bool:
        """Whether it is told of something; forgets it then."""
        told = self.heard.wait(within_s)
        self.heard.clear()
        return told

    def is_quiet(self) -> bool:
        """Whether nothing is told for a while."""
        return not self.hears(0.3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "claude-outbox"
    folder.mkdir()
    return folder


@pytest.fixture
def ear(folder: Path) -> Iterator[Ear]:
    before = set(threading.enumerate())
    ear = Ear(folder)
    yield ear
    ear.watch.close()
    ear.watch.close()
    assert soon(lambda: set(threading.enumerate()) <= before)


def test_a_written_file_is_heard(ear: Ear, folder: Path) -> None:
    """As the scripts write: in place."""
    (folder / "a.json").write_text("{}")

    assert ear.hears()


def test_a_file_moved_into_the_folder_is_heard(ear: Ear, folder: Path) -> None:
    """As careful writers do."""
    made = folder.with_name("a")
    made.write_text("{}")
    assert ear.is_quiet()

    made.rename(folder / "a.json")

    assert ear.hears()


def test_a_file_that_got_a_second_name_there_is_heard(ear: Ear, folder: Path) -> None:
    """As OpenSSH's rename does it; nothing is closed then."""
    made = folder.with_name("a")
    made.write_text("{}")
    assert ear.is_quiet()

    os.link(made, folder / "a.json")

    assert ear.hears()


def test_reading_and_removing_are_not_heard(ear: Ear, folder: Path) -> None:
    """Our own taking must not wake us."""
    (folder / "a.json").write_text("{}")
    assert ear.hears()
    while not ear.is_quiet():
        pass

    (folder / "a.json").read_text()
    os.listdir(folder)
    (folder / "a.json").unlink()

    assert ear.is_quiet()


@pytest.mark.parametrize("how", ["removed", "moved away"])
def test_a_folder_that_comes_back_is_watched_again(how: str, ear: Ear, folder: Path) -> None:
    """And what lies in it by then is heard of, too."""
    if how == "removed":
        folder.rmdir()
    else:
        folder.rename(folder.with_name("elsewhere"))
    assert ear.is_quiet()

    folder.mkdir()
    assert ear.hears()
    (folder / "a.json").write_text("{}")

    assert ear.hears()


def test_a_folder_may_be_missing_at_first(tmp_path: Path) -> None:
    """The peer's config comes before its folders."""
    ear = Ear(tmp_path / "later", tmp_path)
    try:
        assert ear.is_quiet()
        (tmp_path / "later").mkdir()
        assert ear.hears()
    finally:
        ear.watch.close()


def test_without_inotify_it_does_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A poll finds the file as well."""
    monkeypatch.setattr(watch, "_new_inotify", lambda: None)
    ear = Ear(folder)

    (folder / "a.json").write_text("{}")

    assert ear.is_quiet()
    ear.watch.close()


def test_with_no_watch_left_it_keeps_trying(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of a user is shared with editors and browsers."""
    from inotify_simple import INotify

    add_watch = INotify.add_watch
    full = threading.Event()
    full.set()

    def limited(self: INotify, path: str, mask: int) -> int:
        if full.is_set():
            raise OSError(28, "No space left on device")
        number: int = add_watch(self, path, mask)
        return number

    monkeypatch.setattr(INotify, "add_watch", limited)
    ear = Ear(folder)
    try:
        assert ear.is_quiet()
        full.clear()
        assert ear.hears()
    finally:
        ear.watch.close()
