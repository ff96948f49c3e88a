"""spool-lite takes mail: each message once, oldest first, and nothing that has a hostile name."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.kit import AT_ONCE, SHELLS, Kit, full_disk, in_shell


@pytest.fixture(params=SHELLS)
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Kit:
    """In each shell."""
    return in_shell(request.param, tmp_path)


def test_parallel_takers_get_each_message_once(kit: Kit) -> None:
    """Two agents never work on the same message, and each gets its two acks."""
    names = [f"msg-{n:02}" for n in range(2 * AT_ONCE)]
    for name in names:
        kit.put(f"{name}.json", name.encode())

    def take_two(_: int) -> list[str]:
        return [kit("take").stdout.strip() for _ in range(2)]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        taken = sorted(path for paths in pool.map(take_two, range(AT_ONCE)) for path in paths)

    assert taken == [str(kit.processed / f"{name}.json") for name in names]
    assert [Path(path).read_text() for path in taken] == names
    assert sorted(os.listdir(kit.processed)) == [f"{name}.json" for name in names]
    assert os.listdir(kit.inbox) == ["processed"]
    assert sorted((ack["re"], ack["status"]) for ack in kit.acks()) == sorted(
        (name, status) for name in names for status in ("received", "read")
    )
    kit("take", check=4)


def test_take_acknowledges_and_prints_where_the_message_is(kit: Kit) -> None:
    """`cat "$(spool-lite take)"` is how an agent reads."""
    kit.put("msg-1.json", b'{"body":"x"}')

    path = Path(kit("take").stdout.removesuffix("\n"))

    assert path == kit.processed / "msg-1.json"
    assert path.read_bytes() == b'{"body":"x"}'
    assert kit.acks() == [
        {"from": "cloud", "to": "local", "re": "msg-1", "status": status} for status in ("received", "read")
    ]


def test_the_oldest_comes_first(kit: Kit) -> None:
    """By the time of the file, and within a second by name: spool's ids sort by time."""
    kit.put("b.json", age_s=10)
    kit.put("a.json", age_s=10)
    kit.put("c.json", age_s=99)
    kit.put("d.json")

    assert kit("list").stdout.split() == ["c.json", "a.json", "b.json", "d.json"]
    assert [Path(kit("take").stdout.strip()).name for _ in range(4)] == [
        "c.json",
        "a.json",
        "b.json",
        "d.json",
    ]


def test_a_long_inbox_is_listed_whole(kit: Kit) -> None:
    """More names than one command line takes in comfort."""
    for n in range(1200):
        kit.put(f"msg-{n:04}.json", age_s=n)
    assert kit("list").stdout.split() == [f"msg-{n:04}.json" for n in reversed(range(1200))]


def test_what_was_processed_under_the_same_name_stays(kit: Kit) -> None:
    """A script that reuses its names loses nothing here."""
    kit.processed.mkdir(parents=True)
    (kit.processed / "a.json").write_text("first")
    kit.put("a.json", b"second")

    path = Path(kit("take").stdout.strip())

    assert (path.parent, path.read_text()) == (kit.processed, "second")
    assert (kit.processed / "a.json").read_text() == "first"
    assert [ack["re"] for ack in kit.acks()] == ["a", "a"]


def test_what_a_killed_reader_left_half_claimed_is_taken(kit: Kit) -> None:
    """It linked the file into processed, and was killed before its rename."""
    path = kit.put("a.json", b"x")
    kit.processed.mkdir()
    os.link(path, kit.processed / "a.json")

    assert kit("take").stdout.strip() == str(kit.processed / "a.json")
    assert (os.listdir(kit.inbox), os.listdir(kit.processed)) == (["processed"], ["a.json"])


def test_where_nothing_waits_the_exit_code_says_so(kit: Kit) -> None:
    """A loop can tell it from a failure; hidden files are on their way."""
    kit("list", check=4)
    kit.put(".msg-1.json.0123.part")
    kit.put(".msg-2.json")
    assert kit("take", check=4).stdout == ""
    assert kit.acks() == []


@pytest.mark.parametrize(
    "name",
    [
        'x","status":"done","from":"root.json',
        "-rf.json",
        "a b.json",
        "a\nb.json",
        "é.json",
        "\x1b[2J.json",
        "*.json",
    ],
)
def test_a_hostile_name_is_left_and_told_of(kit: Kit, name: str) -> None:
    """It would stand in an ack, a command line and somebody's terminal."""
    path = kit.put(name)
    kit.put("good.json")

    done = kit("list")

    assert done.stdout == "good.json\n"
    assert re.fullmatch(r"spool-lite: skipped[A-Za-z0-9 ,.:?_-]*\n", done.stderr)
    kit("take")
    kit("take", check=4)
    assert path.exists()


def test_what_is_no_file_is_left(kit: Kit, tmp_path: Path) -> None:
    """A link leads anywhere, and a pipe would never end."""
    (tmp_path / "secret").write_text("s")
    kit.put("good.json")
    (kit.inbox / "folder.json").mkdir()
    (kit.inbox / "link.json").symlink_to(tmp_path / "secret")
    (kit.inbox / "gone.json").symlink_to(tmp_path / "nothing")
    os.mkfifo(kit.inbox / "pipe.json")

    done = kit("list")

    assert done.stdout == "good.json\n"
    assert len(done.stderr.splitlines()) == 4


def test_a_message_whose_ack_cannot_be_written_is_not_lost_sight_of(kit: Kit) -> None:
    """It is claimed by then: whoever reads the error finds it."""
    kit.put("msg-1.json", b"x")
    done = kit("take", check=1, preexec=full_disk)
    assert f"what was taken is {kit.processed}/msg-1.json" in done.stderr
    assert (kit.processed / "msg-1.json").read_bytes() == b"x"
