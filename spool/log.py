"""The structured log: one event per fact, as JSON lines in the home and on stderr for people."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
import sys
import threading
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec

FILE: Final = "spool.jsonl"
MAX_BYTES: Final = 16 * 1024 * 1024
KEEP: Final = 4
LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}

_encode = msgspec.json.Encoder(enc_hook=str).encode


class _File:
    """spool.jsonl: whole lines appended in one write each, rotated by size under a lock."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._path = folder / FILE
        self._lock = threading.Lock()
        self._file = -1

    def write(self, lines: bytes) -> None:
        with self._lock:
            if self._file < 0 or self._moved():
                self._reopen()
            os.write(self._file, lines)
            if os.fstat(self._file).st_size > MAX_BYTES:
                self._rotate()

    def close(self) -> None:
        """Let go of the file; a late line opens it again."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _moved(self) -> bool:
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return True
        mine = os.fstat(self._file)
        return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino)

    def _reopen(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _rotate(self) -> None:
        lock = os.open(self._folder / ".rotate", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Another process may have rotated while this one waited for the lock.
            if not self._moved():
                for n in range(KEEP - 1, 0, -1):
                    older = self._folder / f"{FILE}.{n}"
                    with contextlib.suppress(FileNotFoundError):
                        older.rename(self._folder / f"{FILE}.{n + 1}")
                self._path.rename(self._folder / f"{FILE}.1")
            self._reopen()
        finally:
            os.close(lock)


class _Sinks:
    """Where lines go, and what every line of this process says of itself."""

    def __init__(
        self, file: _File | None, stream: TextIO | None, level: int, always: Mapping[str, Any]
    ) -> None:
        self.file = file
        self.stream = stream
        self.level = level
        self.always = dict(always)
        self.console: Any = None
        if stream is not None and stream.isatty():
            import structlog

            self.console = structlog.dev.ConsoleRenderer()

    def write(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Write events, already complete; a log that cannot be written never stops the mail."""
        events = list(events)
        lines = b"".join(_line(event) for event in events)
        self._put(lines, self._text(events) if self.console else None)

    def write_alike(self, head: Mapping[str, Any], many: Sequence[Mapping[str, Any]]) -> None:
        """The same for events that have `head` in common, which is put into JSON once."""
        if self.console is None and all(many):
            with contextlib.suppress(ValueError, TypeError, OverflowError):
                start = _encode(head)[:-1] + b","
                self._put(b"".join([start + _encode(values)[1:] + b"\n" for values in many]))
                return
        self.write([{**head, **values} for values in many])

    def _put(self, lines: bytes, text: str | None = None) -> None:
        if self.file is not None:
            try:
                self.file.write(lines)
            except OSError as exc:
                self._complain(exc)
        if self.stream is not None:
            with contextlib.suppress(OSError, ValueError):
                self.stream.write(lines.decode() if text is None else text)
                self.stream.flush()

    def _text(self, events: list[Mapping[str, Any]]) -> str:
        quiet = {"host", "pid", "role", "version", "at"}
        shown = []
        for event in events:
            values = {k: v for k, v in event.items() if k not in quiet and v is not None}
            values["timestamp"] = str(event["at"])[11:23]
            shown.append(str(self.console(None, str(event["level"]), values)) + "\n")
        return "".join(shown)

    def _complain(self, exc: OSError) -> None:
        if self.stream is None:
            return
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(f"spool: the log cannot be written: {exc}\n")


def _line(event: Mapping[str, Any]) -> bytes:
    try:
        return _encode(event) + b"\n"
    except (ValueError, TypeError, OverflowError):
        import json

        # A file name that is not UTF-8, most likely; JSON can write half a character as an escape.
        return json.dumps(event, default=str, skipkeys=True).encode() + b"\n"


_sinks: _Sinks | None = None


def configure(
    home: Path | None,
    *,
    role: str,
    host: str,
    version: str,
    stderr: bool = True,
    level: str = "info",
) -> None:
    """Send this process's events to `home`/log/spool.jsonl, and to stderr where asked.

    The records of huey, paramiko and the MCP SDK go the same way, the last two's from warnings up.
    Without a call to this, events go nowhere: a program that only imports spool stays quiet.
    """
    import structlog

    global _sinks
    file = _File(home / "log") if home is not None else None
    always = {"host": host, "pid": os.getpid(), "role": role, "version": version}
    before, _sinks = _sinks, _Sinks(file, sys.stderr if stderr else None, LEVELS[level], always)
    structlog.configure(
        processors=[structlog.processors.format_exc_info, _finish],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: _Writer(),
        cache_logger_on_first_use=True,
    )
    from spool import log_foreign

    log_foreign.route(_say_foreign, verbose=level == "debug")
    if before is not None and before.file is not None:
        before.file.close()


def rename(host: str) -> None:
    """Say this name of the host on every line from here on."""
    if _sinks is not None:
        _sinks.always["host"] = host


def info(event: str, **values: Any) -> None:
    """One event, `noun.verb`, with its keys. Never a message's body."""
    _say("info", event, values)


def warning(event: str, **values: Any) -> None:
    """One event that somebody should look at."""
    _say("warning", event, values)


def error(event: str, **values: Any) -> None:
    """One event that needs somebody."""
    _say("error", event, values)


def batch(event: str, many: Sequence[Mapping[str, Any]], **common: Any) -> None:
    """Many events of one kind in one write; for the path where a call each would cost too much.

    None of the keys of one event may be among those that all have in `common`.
    """
    if _sinks is None or _sinks.level > LEVELS["info"]:
        return
    _sinks.write_alike({"at": _now(), "level": "info", "event": event, **_sinks.always, **common}, many)


def _say(level: str, event: str, values: Mapping[str, Any]) -> None:
    if _sinks is None:
        return
    import structlog

    getattr(structlog.get_logger(), level)(event, **values)


def _say_foreign(level: str, event: str, values: Mapping[str, Any]) -> None:
    if _sinks is not None:
        _sinks.write([{"at": _now(), "level": level, "event": event, **_sinks.always, **values}])


def _finish(_logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    always = _sinks.always if _sinks is not None else {}
    whole = {"at": _now(), "level": method, "event": event.pop("event"), **always, **event}
    return {"event": whole}


class _Writer:
    """What structlog hands finished events to."""

    def msg(self, event: Mapping[str, Any]) -> None:
        if _sinks is not None:
            _sinks.write([event])

    log = debug = info = warning = error = critical = exception = msg


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
