"""The log: whole lines from many processes at once, complete, and never a message's body."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from spool import log
from spool.api import Spool
from spool.home import init

WRITER = """
import pathlib, sys
from spool import log
log.MAX_BYTES, log.KEEP = 3000, 2000
log.configure(pathlib.Path(sys.argv[1]), role="cli", host="here", version="1", stderr=False)
for n in range(300):
    if n % 10:
        log.info("test.said", who=sys.argv[2], n=n, text="x" * (n % 90))
    else:
        log.batch("test.said", [{"who": sys.argv[2], "n": n, "part": part} for part in (0, 1)])
"""


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The log is one of the process: put back what a test configured."""
    monkeypatch.setattr(log, "_sinks", None)
    loggers = [logging.getLogger(name) for name in ("huey", "paramiko")]
    before = [(each.handlers[:], each.level, each.propagate) for each in loggers]
    yield
    structlog.reset_defaults()
    for each, (handlers, level, propagate) in zip(loggers, before, strict=True):
        each.handlers[:], each.propagate = handlers, propagate
        each.setLevel(level)


def configure(home: Path, **more: Any) -> None:
    log.configure(home, role="cli", host="here", version="1.0", **{"stderr": False, **more})


def events(home: Path) -> list[dict[str, Any]]:
    """Every line of the log, rotated ones too, oldest first."""
    found = sorted(
        (home / "log").glob("spool.jsonl*"), key=lambda path: -int(path.suffix[1:].replace("jsonl", "0"))
    )
    return [json.loads(line) for path in found for line in path.read_bytes().splitlines()]


def test_a_line_is_complete(tmp_path: Path) -> None:
    """When, how bad, what; who said it; then its own keys."""
    configure(tmp_path)
    log.info("message.sent", id="m1", attempt=2)

    (line,) = events(tmp_path)
    assert list(line) == ["at", "level", "event", "host", "pid", "role", "version", "id", "attempt"]
    assert (line["level"], line["event"], line["pid"]) == ("info", "message.sent", os.getpid())
    assert len(line["at"]) == len("2025-11-13T10:30:45.123456Z") and line["at"].endswith("Z")


@pytest.mark.parametrize(("level", "kept"), [("debug", 3), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_keeps_out_what_is_below(tmp_path: Path, level: str, kept: int) -> None:
    """Batches included."""
    configure(tmp_path, level=level)
    log.info("a.b")
    log.warning("a.c")
    log.error("a.d")

    assert [line["event"] for line in events(tmp_path)] == ["a.b", "a.c", "a.d"][-kept:]


def test_where_it_goes_anew_the_older_file_is_let_go_of(tmp_path: Path) -> None:
    """A long life with many homes must not run out of files; a late line of an older one is not lost."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    configure(tmp_path / "one")
    log.info("a.b")
    older = log._sinks
    configure(tmp_path / "two")

    assert older is not None and older.file is not None and older.file._file == -1
    older.write([{"event": "a.late"}])
    assert [line["event"] for line in events(tmp_path / "one")] == ["a.b", "a.late"]
    older.file.close()


def test_a_batch_is_a_line_for_each(tmp_path: Path) -> None:
    """With the same head."""
    configure(tmp_path)
    log.batch("message.stored", [{"id": n} for n in range(3)])

    found = events(tmp_path)
    assert [line["id"] for line in found] == [0, 1, 2]
    assert len({line["at"] for line in found}) == 1 and found[0]["event"] == "message.stored"


def test_what_a_batch_has_in_common_stands_on_each_line(tmp_path: Path) -> None:
    """It is put into JSON once; what cannot be put there like the rest is told all the same."""
    configure(tmp_path)
    log.batch("message.sent", [{"id": 1}, {"id": 2, "error": "\udc80"}, {}], state="sent")

    lines = events(tmp_path)
    assert [(line.get("id"), line["state"], line["event"], line["host"]) for line in lines] == [
        (1, "sent", "message.sent", "here"),
        (2, "sent", "message.sent", "here"),
        (None, "sent", "message.sent", "here"),
    ]


def test_a_batch_below_the_level_is_not_written(tmp_path: Path) -> None:
    """It is info."""
    configure(tmp_path, level="warning")
    log.batch("message.stored", [{"id": 1}])

    assert events(tmp_path) == []


def test_without_configure_nothing_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    """A program that imports spool keeps its own output."""
    log.info("a.b")
    log.error("a.c", x=1)
    log.batch("a.d", [{"x": 1}])

    assert capfd.readouterr() == ("", "")


def test_it_goes_to_stderr_as_json_lines_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where that is not a terminal."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure(tmp_path, stderr=True)
    log.info("a.b", x=1)

    assert [json.loads(line) for line in stream.getvalue().splitlines()] == events(tmp_path)


def test_a_terminal_gets_readable_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the file its JSON lines all the same."""
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", stream)
    configure(tmp_path, stderr=True)
    log.warning("link.failed", peer="box")

    assert "link.failed" in stream.getvalue() and "box" in stream.getvalue()
    assert not stream.getvalue().startswith("{")
    assert events(tmp_path)[0]["peer"] == "box"


@pytest.mark.parametrize(
    "odd",
    ["two\nlines", "\x1b[2J", "\udcff", "é", b"\xff", {1, 2}, float("nan"), 2**80, {(1, 2): 3}, object()],
)
def test_no_value_breaks_a_line_or_the_caller(tmp_path: Path, odd: object) -> None:
    """A file name that is not UTF-8, what an exception held: one line, in plain JSON."""
    configure(tmp_path)
    log.error("a.b", error=odd)
    log.batch("a.c", [{"error": odd}])

    raw = (tmp_path / "log" / log.FILE).read_bytes()
    assert raw.count(b"\n") == 2 and b"\x1b" not in raw
    assert [line["event"] for line in events(tmp_path)] == ["a.b", "a.c"]


def test_a_disk_that_is_full_does_not_stop_the_mail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said on stderr, where there is one."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    configure(tmp_path, stderr=True)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log.os, "write", full)
    log.info("a.b")

    assert "the log cannot be written" in stream.getvalue()


def test_eight_processes_lose_no_line_across_a_hundred_rotations(tmp_path: Path) -> None:
    """Writing at once, rotating every few lines: every line parses, and none is missing or twice."""
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), str(who)]) for who in range(8)]
    assert [writer.wait(60) for writer in writers] == [0] * 8

    found = sorted((line["who"], line["n"], line.get("part", 0)) for line in events(tmp_path))
    wanted = [
        (str(who), n, part)
        for who in range(8)
        for n in range(300)
        for part in ((0, 1) if n % 10 == 0 else (0,))
    ]
    assert found == sorted(wanted)
    assert len(list((tmp_path / "log").glob("spool.jsonl.*"))) >= 100


def test_only_so_many_old_files_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest; the log has a bounded size."""
    monkeypatch.setattr(log, "MAX_BYTES", 500)
    configure(tmp_path)
    for n in range(200):
        log.info("a.b", n=n)

    names = sorted(path.name for path in (tmp_path / "log").glob("spool.jsonl*"))
    assert names == ["spool.jsonl", *(f"spool.jsonl.{n}" for n in range(1, log.KEEP + 1))]
    numbers = [line["n"] for line in events(tmp_path)]
    assert numbers == list(range(numbers[0], 200))


def test_a_file_that_somebody_moved_is_made_again(tmp_path: Path) -> None:
    """logrotate, or a person with rm."""
    configure(tmp_path)
    log.info("a.b")
    (tmp_path / "log" / log.FILE).unlink()
    log.info("a.c")

    assert [line["event"] for line in events(tmp_path)] == ["a.c"]


def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    """Who writes to whom is nobody else's business."""
    before = os.umask(0)
    try:
        configure(tmp_path)
        log.info("a.b")
    finally:
        os.umask(before)

    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "log" / log.FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("name", "level", "kept"),
    [
        ("huey.consumer", logging.INFO, True),
        ("huey", logging.INFO, False),
        ("huey", logging.DEBUG, False),
        ("paramiko.transport", logging.WARNING, True),
        ("paramiko.transport", logging.INFO, False),
    ],
)
def test_other_libraries_records_have_the_same_form(
    tmp_path: Path, name: str, level: int, kept: bool
) -> None:
    """Huey's from info up, paramiko's from warnings up."""
    configure(tmp_path)
    logging.getLogger(name).log(level, "said %d things", 3)

    found = events(tmp_path)
    assert [line["text"] for line in found] == ["said 3 things"] * kept
    assert all(
        (line["event"], line["host"], line["role"]) == (f"{name}.said", "here", "cli") for line in found
    )


def test_a_foreign_traceback_is_one_line(tmp_path: Path) -> None:
    """With the exception under error."""
    configure(tmp_path)
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        logging.getLogger("huey").exception("a task failed")

    (line,) = events(tmp_path)
    assert "ZeroDivisionError" in line["error"] and line["level"] == "error"


def test_configuring_twice_does_not_say_things_twice(tmp_path: Path) -> None:
    """A consumer does, when it has read its flags."""
    configure(tmp_path)
    configure(tmp_path)
    log.info("a.b")
    logging.getLogger("huey.consumer").info("text")

    assert len(events(tmp_path)) == 2


def test_no_body_and_no_subject_gets_into_the_log(tmp_path: Path) -> None:
    """Through the whole life of a message."""
    home = init(tmp_path / "home", name="here", agents=["a", "b"]).home
    configure(home, level="debug")
    with Spool(home) as spool:
        for n in range(7):
            spool.send(
                "b", subject="a-heading", body="a-text", context={"a-name": "a-value"}, agent="a", id=f"m{n}"
            )
        for message in spool.receive(agent="b", limit=6):
            with contextlib.suppress(ValueError), message:
                raise ValueError
        log.info("a.b")

    raw = (home / "log" / log.FILE).read_text()
    assert "message.rejected" in raw
    assert not [word for word in ("a-heading", "a-text", "a-name", "a-value") if word in raw]
