"""The config in force: a change is picked up, a bad one is kept out and remembered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool import config, home, settings
from spool.clock import Clock
from spool.errors import BadConfig, NotInitialised, StoreFull
from spool.settings import Settings
from spool.store.sqlite import SqliteStore

GOOD = '[host]\nname = "here"\nagents = ["me"]\n'


class Turned:
    """A clock that a test turns."""

    at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A home."""
    return home.init(tmp_path / "home", name="here", agents=["me"]).home


@pytest.fixture
def store(place: Path) -> Iterator[SqliteStore]:
    """Its database."""
    opened = SqliteStore(place)
    yield opened
    opened.close()


@pytest.fixture
def turned() -> Turned:
    """The clock of the settings."""
    return Turned()


@pytest.fixture
def mine(place: Path, store: SqliteStore, turned: Turned) -> Settings:
    """The settings of a process that has just begun."""
    return Settings(place, store, Clock(time.time, turned))


def write(place: Path, text: str) -> None:
    home.write_atomically(place / config.FILE, text.encode(), mode=0o600)


def remembered(store: SqliteStore) -> str:
    with store.read() as tx:
        return tx.ledger.fact(settings.FACT) or ""


def test_a_file_that_did_not_change_is_not_read_again(mine: Settings) -> None:
    """It is looked at once a second."""
    before = mine.config

    assert not mine.refresh()
    assert mine.config is before


def test_a_changed_file_is_picked_up(mine: Settings, place: Path) -> None:
    """Once."""
    write(place, GOOD + '[peers.box]\nurl = "ssh://box"\n')

    assert mine.refresh()
    assert list(mine.config.peers) == ["box"]
    assert not mine.refresh()


def test_a_change_by_an_editor_that_writes_in_place_is_picked_up(mine: Settings, place: Path) -> None:
    """The same file, another size or time."""
    with (place / config.FILE).open("a") as file:
        file.write("relay = false\n")

    assert mine.refresh()
    assert mine.config.host.relay is False


@pytest.mark.parametrize("bad", ["[host]\nname = 1\n", "not toml", GOOD + "colour = 1\n", ""])
def test_a_bad_file_is_kept_out_and_remembered(
    mine: Settings, place: Path, store: SqliteStore, bad: str
) -> None:
    """The old one stays in force; `status` shows what is wrong."""
    before = mine.config
    write(place, bad)

    assert not mine.refresh()
    assert mine.config is before
    assert str(place / config.FILE) in remembered(store)


def test_a_file_that_went_is_a_bad_one(mine: Settings, place: Path, store: SqliteStore) -> None:
    """Some editors take it away for a moment."""
    before = mine.config
    (place / config.FILE).unlink()

    assert not mine.refresh()
    assert mine.config is before and "no spool home" in remembered(store)


def test_a_good_one_after_a_bad_one_clears_it(mine: Settings, place: Path, store: SqliteStore) -> None:
    """Also where it says what it said before."""
    good = (place / config.FILE).read_text()
    write(place, "bad")
    mine.refresh()
    write(place, good)

    assert mine.refresh()
    assert remembered(store) == ""


def test_what_an_earlier_process_remembered_is_cleared(
    mine: Settings, place: Path, store: SqliteStore
) -> None:
    """It ended with a bad file before it; the file was corrected; a new one begins."""
    good = (place / config.FILE).read_text()
    write(place, "bad")
    mine.refresh()
    write(place, good)

    Settings(place, store, Clock(time.time, time.monotonic))

    assert remembered(store) == ""


@pytest.mark.parametrize(("text", "error"), [("bad", BadConfig), (None, NotInitialised)])
def test_a_process_does_not_begin_with_a_bad_file(
    place: Path, store: SqliteStore, text: str | None, error: type[Exception]
) -> None:
    """There is no old one to stay with."""
    if text is None:
        (place / config.FILE).unlink()
    else:
        write(place, text)

    with pytest.raises(error):
        Settings(place, store, Clock(time.time, time.monotonic))


def test_a_change_is_not_lost_when_the_store_fails(
    mine: Settings, place: Path, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next look finds it again, so that links to new peers are dialled."""
    write(place, "bad")
    mine.refresh()
    write(place, GOOD + '[peers.box]\nurl = "ssh://box"\n')

    def full(**_: object) -> None:
        raise StoreFull("the disk is full")

    monkeypatch.setattr(store, "write", full)
    with pytest.raises(StoreFull):
        mine.refresh()
    monkeypatch.undo()

    assert mine.refresh()
    assert list(mine.config.peers) == ["box"] and remembered(store) == ""


def test_new_routes_come_with_a_new_config(mine: Settings, place: Path) -> None:
    """At once."""
    assert mine.router().is_local("me") and not mine.router().is_local("you")
    write(place, GOOD.replace('["me"]', '["you"]'))
    mine.refresh()

    assert mine.router().is_local("you") and not mine.router().is_local("me")


def test_routes_are_a_second_behind_what_peers_say(
    mine: Settings, place: Path, store: SqliteStore, turned: Turned
) -> None:
    """Within it they are the same object: a batch must not pay for them."""
    write(place, GOOD + "[peers.box]\n")
    mine.refresh()
    before = mine.router()
    with store.write(sync=False) as tx:
        tx.peers.update("box", far_agents=["fresh"])

    turned.at += 0.5
    assert mine.router() is before
    turned.at += 1.0
    assert mine.router().resolve("fresh").peer == "box"
