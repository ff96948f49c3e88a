"""`spool doctor --repair`: what is safe, shown before it is done, and neither mail nor keys are touched."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

import apsw
import pytest

from spool import attachments, doctor
from spool.doctor.repair import carry_out
from spool.doctor.repairs import planned
from spool.store import copying, sqlite, tidying
from tests.databases import one
from tests.hosts import Host

NOW = time.time()


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A home where all is well."""
    return Host(tmp_path, "laptop", "alice")


def plan(host: Host) -> list[str]:
    """What would be done."""
    with planned(host.home, now=NOW) as repairs:
        return [each.what for each in repairs]


def repair(host: Host) -> list[str]:
    """Do all of it; why something was not done."""
    with planned(host.home, now=NOW) as repairs:
        return [problem for _, problem in carry_out(host.home, "laptop", repairs) if problem]


def failing(host: Host) -> list[str]:
    """What the doctor finds that is not well, but that there are no peers."""
    found = doctor.examine(host.home, now=NOW, keys=host.home.parent / "authorized_keys")
    bad = [each for each in found if each.level == "failed" or "look into" in each.found]
    return [f"{each.topic}: {each.found}" for each in bad]


def dead_pid() -> int:
    """The id of a process that has ended."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    return ended.pid


def test_a_home_that_is_well_has_nothing_to_repair(host: Host) -> None:
    """And a second run after a repair neither."""
    assert plan(host) == []


def test_modes_are_put_right(host: Host) -> None:
    """Of the home, its folders, its config and its database; the key is for a person: it may be known."""
    key = host.home / "keys" / "id_ed25519"
    for path, mode in (("", 0o755), ("log", 0o722), ("spool.toml", 0o666), ("spool.db", 0o644)):
        (host.home / path).chmod(mode)
    key.chmod(0o644)
    assert len(failing(host)) >= 4 and len(plan(host)) >= 4
    assert repair(host) == []
    assert host.home.stat().st_mode & 0o777 == 0o700
    assert (host.home / "spool.db").stat().st_mode & 0o777 == 0o600
    assert plan(host) == []
    assert [each for each in failing(host) if not each.startswith("key: others may read")] == []
    assert key.stat().st_mode & 0o777 == 0o644


def test_a_link_in_the_place_of_a_folder_is_not_followed(host: Host, tmp_path: Path) -> None:
    """What it leads to may be anybody's."""
    other = tmp_path / "other"
    other.mkdir()
    other.chmod(0o777)
    (host.home / "attachments").symlink_to(other)
    assert plan(host) == []
    repair(host)
    assert other.stat().st_mode & 0o777 == 0o777


def test_folders_that_are_gone_are_made(host: Host) -> None:
    """Without log/ nothing is ever said."""
    (host.home / "log").rmdir()
    repair(host)
    assert (host.home / "log").stat().st_mode & 0o777 == 0o700
    assert failing(host) == []


def test_what_dead_processes_left_goes_and_what_living_ones_have_stays(host: Host) -> None:
    """Sockets and drafts have the id of their process in their names."""
    dead, lives = dead_pid(), os.getpid()
    names = [f"run/{{}}-0123abcd.{kind}.bell" for kind in ("carry", "wait")]
    names += ["run/.consumer-{}-0123abcd", ".spool.toml.{}", "keys/.id_ed25519.{}"]
    for name in names[:2]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
            os.chdir(host.home)
            bell.bind(name.format(dead))
    for name in names[2:]:
        (host.home / name.format(dead)).write_text("x")
    for name in names:
        (host.home / name.format(lives)).touch()
    (host.home / ".notes.1").write_text("a person's")
    assert "5 files" in plan(host)[0]
    assert repair(host) == []
    assert [name for name in names if (host.home / name.format(dead)).exists()] == []
    assert [name for name in names if not (host.home / name.format(lives)).exists()] == []
    assert (host.home / ".notes.1").exists()


def test_leases_of_a_clock_that_leapt_are_freed(host: Host) -> None:
    """They count as none; one that a living reader has stays."""
    with host.api() as spool:
        spool.send("alice", subject="x")
        spool.send("alice", subject="y")
        next(iter(spool.receive()))
        with spool.store.write(sync=True) as tx:
            tx.inbox.take("alice", now=NOW, until=NOW + 10 * 86_400, lease=7)
    found = list(doctor.examine(host.home, now=NOW, quick=True))
    assert [each.remedy for each in found if "leapt" in each.found] == ["`spool doctor --repair`"]
    assert repair(host) == []
    assert one(host.home, "SELECT count(*) FROM inbox WHERE lease_until > 0") == 1
    assert one(host.home, "SELECT count(*) FROM inbox") == 2


def test_attachments_that_nothing_needs_go_and_missing_ones_are_not_counted(host: Host) -> None:
    """The room they take is the mail's."""
    folder = host.home / "attachments"
    folder.mkdir(mode=0o700)
    old, part, stray = "a" * 64, f"{'b' * 64}.cloud.part", "c" * 64
    for name in (old, part, stray):
        (folder / name).write_bytes(b"x")
    with host.api() as spool, spool.store.write(sync=True) as tx:
        for name in (old, part, "d" * 64):
            tx.attachments.reserve(name, peer="", size=1, now=NOW - attachments.PART_S - 1)
    assert len(plan(host)) == 2
    assert repair(host) == []
    assert [path.name for path in folder.iterdir()] == [stray]
    assert one(host.home, "SELECT group_concat(name) FROM attachments") == stray


def test_a_log_of_sqlite_that_grew_is_written_back(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody read for long; now nobody does."""
    from spool.doctor import tidy_database

    monkeypatch.setattr(tidy_database, "WORTH_BYTES", 1000)
    with host.api() as spool:
        spool.send_many([{"to": "alice", "subject": f"{n}", "body": "x" * 500} for n in range(100)])
        assert (host.home / "spool.db-wal").stat().st_size > 1000
        assert repair(host) == []
        assert (host.home / "spool.db-wal").stat().st_size == 0


# -- damage -----------------------------------------------------------------------------------


def damaged(host: Host, sql: str) -> None:
    """Change what SQLite would never change by itself."""
    connection = apsw.Connection(str(host.home / "spool.db"))
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
    connection.execute(f"PRAGMA writable_schema=ON; {sql}; PRAGMA writable_schema=RESET")
    connection.close()


def test_an_index_that_does_not_fit_is_made_again(host: Host) -> None:
    """Its table has all that it had; mail is neither lost nor changed."""
    with host.api() as spool:
        spool.send_many([{"to": "alice", "subject": f"{n}"} for n in range(50)])
    # Rows that go while the index is not known are still in it, and those that come are not.
    definition = one(host.home, "SELECT sql FROM sqlite_schema WHERE name = 'inbox_open'")
    root = one(host.home, "SELECT rootpage FROM sqlite_schema WHERE name = 'inbox_open'")
    damaged(host, "DELETE FROM sqlite_schema WHERE name = 'inbox_open'")
    with host.api() as spool:
        spool.send("alice", subject="not in the index")
    damaged(
        host,
        "INSERT INTO sqlite_schema (type, name, tbl_name, rootpage, sql)"
        f" VALUES ('index', 'inbox_open', 'inbox', {root}, '{definition.replace(chr(39), chr(39) * 2)}')",
    )
    assert [each for each in failing(host) if "inbox_open" in each]
    (what,) = plan(host)
    assert "inbox_open" in what
    assert repair(host) == []
    assert failing(host) == [] and plan(host) == []
    assert (
        one(
            host.home,
            "SELECT count(*) FROM inbox INDEXED BY inbox_open WHERE agent = 'alice'"
            " AND state IN ('unread', 'read')",
        )
        == 51
    )


def test_the_words_of_the_archive_are_made_again(host: Host) -> None:
    """A search finds all of it then; nothing else changes."""
    with host.api() as spool:
        ids = [spool.send("alice", subject=f"the zebra number {n}") for n in range(20)]
        for _ in ids:
            with next(iter(spool.receive())):
                pass
        spool.archive(older_than_s=-1)
        before = [each.id for each in spool.search("zebra", limit=99)]
        assert len(before) >= 20
    connection = apsw.Connection(str(host.home / "spool.db"))
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
    connection.execute("UPDATE inbox_words_data SET block = zeroblob(length(block)) WHERE id > 10")
    connection.close()
    assert copying.damage(host.home / "spool.db")
    assert [each for each in plan(host) if "words" in each]
    assert repair(host) == []
    assert copying.damage(host.home / "spool.db") == []
    with host.api() as spool:
        assert [each.id for each in spool.search("zebra", limit=99)] == before


def test_other_damage_is_left_to_a_backup(host: Host) -> None:
    """To guess at mail would be to make it up."""
    with host.api() as spool:
        spool.send_many([{"to": "alice", "subject": f"{n}", "body": "x" * 500} for n in range(200)])
    path = host.home / "spool.db"
    roots = one(host.home, "SELECT rootpage FROM sqlite_schema WHERE name = 'inbox'")
    with path.open("r+b") as file:
        file.seek((roots - 1) * 4096)
        file.write(b"\xff" * 4096)
    before = path.read_bytes()
    assert tidying.mendable(path, copying.damage(path)) is None
    repair(host)
    assert path.read_bytes() == before
    findings = doctor.examine(host.home, now=NOW, keys=host.home.parent / "authorized_keys")
    (found,) = [each for each in findings if (each.topic, each.level) == ("database", "failed")]
    assert "restore" in found.remedy


# -- the command ------------------------------------------------------------------------------


def test_nothing_is_done_without_a_word_of_a_person(host: Host) -> None:
    """Shown, and refused: an agent that types it changes nothing."""
    host.home.chmod(0o755)
    done = host.cli("doctor", "--repair", "--quick", check=1)
    assert f"would chmod 700 {host.home}" in done.stderr and "--yes" in done.stderr
    assert host.home.stat().st_mode & 0o777 == 0o755


def test_it_says_what_it_did_and_checks_again(host: Host) -> None:
    """The findings after it are those of the repaired home; the log has each repair."""
    host.home.chmod(0o755)
    repaired, *findings = host.json("doctor", "--repair", "--yes", "--quick")
    assert (repaired["done"], repaired["error"]) == (True, None)
    assert {each["level"] for each in findings if each["topic"] == "home"} == {"ok"}
    (event,) = host.log("doctor.repaired")
    assert event["what"] == repaired["repair"]
    assert not sqlite.schema_of(host.home / "spool.db") < sqlite.SCHEMA
