"""A far account's shell and Python, over one connection that is logged in."""

from __future__ import annotations

import contextlib
import json
import secrets
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import paramiko

from spool.errors import CannotInstall, LinkError, LinkLost, TimedOut
from spool.far import there
from spool.far.facts import Facts
from spool.transports.ssh_connection import Connection
from spool.transports.ssh_settings import Hop

T = TypeVar("T")

FIND_S: Final = 60.0
ANSWER_S: Final = 900.0
UNDONE_S: Final = 15.0  # for the far side to undo what it began, once we have given up
PIECE_BYTES: Final = 1 << 18
ANSWER_BYTES: Final = 1 << 22

# Whatever the account's own shell is, it reads these: no single quotes within, no `!`, no line ends.
_SH: Final = "exec sh -s"
_LOADER: Final = "import sys; b = sys.stdin.buffer; exec(b.read(int(b.readline())))"
# Debian's python3 first, then newer names, then the places where people put Pythons of their own.
_FIND: Final = r"""
echo
names="python3 python3.11 python3.12 python3.13 python3.14 python3.15"
{
  for n in $names; do command -v "$n"; done
  for d in /usr/local/bin /opt/*/bin "$HOME"/.local/bin "$HOME"/.local/share/uv/python/*/bin \
    "$HOME"/.pyenv/versions/*/bin "$HOME"/.pyenv/bin "$HOME"/bin; do
    for n in $names; do [ -x "$d/$n" ] && [ -f "$d/$n" ] && echo "$d/$n"; done
  done
} 2>/dev/null | while read -r p; do
  v=$("$p" -I -c "import sys, sysconfig
ok = sys.version_info >= (3, 11) and sys.implementation.name == 'cpython'
free = sysconfig.get_config_var('Py_GIL_DISABLED')
print('yes' if ok and not free else 'no', '%d.%d' % sys.version_info[:2])" </dev/null 2>/dev/null) || continue
  echo "TOKEN $v $p"
  case $v in yes*) break ;; esac
done
echo "TOKEN end"
"""


class Ran(msgspec.Struct, frozen=True):
    """How a far command ended, and what it said."""

    status: int
    out: str
    err: str


class Put(msgspec.Struct, frozen=True):
    """Where spool lies there now."""

    path: str


class Far:
    """The host that a connection is logged in to. One thread uses it."""

    def __init__(self, connection: Connection, hop: Hop) -> None:
        self._connection = connection
        self._where = hop.where
        self._hop = hop

    def find_python(self) -> str:
        """The path of a Python that is new enough.

        Raises:
            CannotInstall: there is none; it says which there are.
            LinkError: the connection broke.
        """
        token = secrets.token_hex(16)
        said = self._exchange(_SH, [_FIND.replace("TOKEN", token).encode()], ends=True, limit_s=FIND_S)
        rows = [line.split(" ", 3)[1:] for line in said.splitlines() if line.startswith(token + " ")]
        if ["end"] not in rows:
            raise LinkLost(
                f"{self._where}: its shell did not answer to the end", hint="does `ssh` work there?"
            )
        for verdict, *found in rows:
            if verdict == "yes" and len(found) > 1:
                return found[1]
        old = sorted({found[0] for _, *found in rows if len(found) > 1})
        has = f"only Python {', '.join(old)}" if old else "no Python"
        raise CannotInstall(f"{self._where} has {has}; spool needs 3.11 or newer")

    def look(self, python: str, *, tidy: bool, key: str = "") -> Facts:
        """What matters there for an installation, and the lines that let a public key (base64) in.

        With `tidy`, what a broken installation left is taken away.

        Raises:
            CannotInstall, LinkError: no answer that could be understood.
        """
        return self._as(Facts, self.ask(python, {"do": "look", "tidy": tidy, "key": key}))

    def run(self, python: str, argv: Sequence[str], *, stdin: str = "") -> tuple[int, str, str]:
        """Run a command there; its exit status, and what it said on stdout and stderr."""
        done = self._as(Ran, self.ask(python, {"do": "run", "argv": list(argv), "stdin": stdin}))
        return done.status, done.out, done.err

    def install(
        self, python: str, request: dict[str, Any], files: Sequence[Path], told: Callable[[str], None]
    ) -> str:
        """Have an environment made there from packages; the path of its command. `told` hears of each step.

        Raises:
            CannotInstall, LinkError: as `ask`; nothing of it is left there.
        """
        return self._as(Put, self.ask(python, {"do": "install", **request}, files=files, told=told)).path

    def ask(
        self,
        python: str,
        request: dict[str, Any],
        *,
        files: Sequence[Path] = (),
        told: Callable[[str], None] = lambda step: None,
    ) -> dict[str, Any]:
        """Have the program `there` answer a request, with files; `told` hears of each step it takes.

        However this ends before there is an answer, the far side undoes what it began.

        Raises:
            CannotInstall: it says why not.
            LinkError: the connection broke.
        """
        token = secrets.token_hex(16)
        sizes = [[path.name, path.stat().st_size] for path in files]
        head = json.dumps({**request, "token": token, "files": sizes}).encode() + b"\n"
        answers: list[dict[str, Any]] = []

        def hear(line: str) -> bool:
            if line.startswith(token):
                said = _object(line[len(token) :])
                if "step" in said:
                    told(str(said["step"]))
                    return False
                answers.append(said)
            return bool(answers)

        command = f"exec {shlex.quote(python)} -I -c {shlex.quote(_LOADER)}"
        said = self._exchange(command, _pieces(there.program() + head, files), until=hear)
        if not answers:
            raise LinkLost(f"{self._where}: the Python there did not answer: {_last(said)}")
        if "failed" in answers[0]:
            raise CannotInstall(f"{self._where}: {answers[0]['failed']}")
        answer = answers[0].get("answer")
        return answer if isinstance(answer, dict) else {}

    def _as(self, kind: type[T], answer: dict[str, Any]) -> T:
        try:
            return msgspec.convert(answer, kind)
        except msgspec.ValidationError as exc:
            raise CannotInstall(f"{self._where}: its Python answers what it should not: {exc}") from exc

    def _exchange(
        self,
        command: str,
        pieces: Sequence[bytes] | Iterator[bytes],
        *,
        ends: bool = False,
        limit_s: float = ANSWER_S,
        until: Callable[[str], bool] = lambda line: False,
    ) -> str:
        """Start a command, send it all, and read until a line is the answer; what it said."""
        channel = self._connection.run(self._hop, command, what="starting a command there", error=LinkLost)
        channel.settimeout(limit_s)
        # Nobody else reads it, and a full window would hold the far side.
        channel.set_combine_stderr(True)
        try:
            with _translated(self._where, limit_s):
                # A far side that gives up early says why: that is read, whatever became of the rest.
                all(_is_sent(channel, piece) for piece in pieces)
                if ends:
                    channel.shutdown_write()
                return _listen(channel, until)
        finally:
            self._let_go(channel)

    def _let_go(self, channel: paramiko.Channel) -> None:
        """Say that nobody waits any more, and give the far side a moment to undo."""
        with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
            channel.shutdown_write()
            channel.settimeout(UNDONE_S)
            left = ANSWER_BYTES
            while left > 0 and (piece := channel.recv(PIECE_BYTES)):
                left -= len(piece)
        channel.close()


def _is_sent(channel: paramiko.Channel, piece: bytes) -> bool:
    with contextlib.suppress(paramiko.SSHException, OSError, EOFError):
        channel.sendall(piece)
        return True
    return False


def _listen(channel: paramiko.Channel, until: Callable[[str], bool]) -> str:
    said, rest = "", b""
    while len(said) + len(rest) < ANSWER_BYTES:
        piece = channel.recv(PIECE_BYTES)
        *lines, rest = (rest + piece).split(b"\n")
        for line in (each.decode("utf-8", "replace") for each in (lines if piece else [rest])):
            said += line + "\n"
            if until(line):
                return said
        if not piece:
            return said
    return said


def _pieces(head: bytes, files: Sequence[Path]) -> Iterator[bytes]:
    yield head
    for path in files:
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece


@contextlib.contextmanager
def _translated(where: str, limit_s: float) -> Iterator[None]:
    try:
        yield
    except LinkError:
        raise
    except TimeoutError as exc:
        raise TimedOut(f"{where}: no answer within {limit_s:g} s", hint="is the host well?") from exc
    except (paramiko.SSHException, OSError, EOFError) as exc:
        raise LinkLost(f"{where}: {exc or 'the connection broke'}") from exc


def _object(text: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        value = json.loads(text)
        if isinstance(value, dict):
            return value
    return {"failed": "its answer was not whole"}


def _last(said: str) -> str:
    return " / ".join(line for line in said.splitlines()[-3:] if line.strip())[-300:] or "nothing came"
