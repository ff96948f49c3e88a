"""The line of `authorized_keys` that lets a peer's key run `spool serve` and nothing else."""

from __future__ import annotations

import base64
import os
import pwd
import re
import shlex
import stat
from pathlib import Path
from typing import Final, NamedTuple

from spool.errors import BadInput
from spool.home import write_atomically

_KEY: Final = re.compile(
    r"(ssh-ed25519|ecdsa-sha2-nistp\d+|ssh-rsa|sk-[a-z0-9@.-]+)\s+([A-Za-z0-9+/]+={0,3})(\s+.*)?"
)


class Written(NamedTuple):
    """Where the line went; `changed` is False where it stood there already."""

    path: Path
    line: str
    changed: bool


def parse_key(text: str) -> tuple[str, str, str]:
    """A public key file's type, base64 and comment.

    Raises:
        BadInput: not one public key in OpenSSH's form.
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    match = _KEY.fullmatch(lines[0].strip()) if len(lines) == 1 else None
    if match is None:
        if "PRIVATE KEY" in text:
            raise BadInput(
                "this is a private key", hint="give the .pub file; a private key stays where it is"
            )
        raise BadInput("not a public key in OpenSSH's form", hint="give the .pub file of the peer's spool")
    kind, blob, comment = match.groups(default="")
    try:
        inner = base64.b64decode(blob, validate=True)
    except ValueError:
        inner = b""
    # RFC 4253 6.6: the key begins with its own type; a line that was cut short does not decode.
    if not inner.startswith(len(kind).to_bytes(4, "big") + kind.encode()):
        raise BadInput("a public key that is damaged or cut short", hint="copy the whole line again")
    return kind, blob, comment.strip()


def line_for(key: str, *, peer: str, command: list[str], home: Path) -> str:
    """The line for a public key: what it may run, always as this peer, and nothing else."""
    kind, blob, comment = parse_key(key)
    run = shlex.join([*command, "--home", str(home), "serve", "--peer", peer])
    if not run.isprintable():
        raise BadInput(f"{run!r} cannot stand in one line", hint="choose a path without control characters")
    # sshd(8), AUTHORIZED_KEYS FILE FORMAT: only the quote is quoted; a backslash stands for itself.
    quoted = run.replace('"', '\\"')
    safe = re.sub(r"[^A-Za-z0-9@._-]", "", comment)[:64]
    return f'restrict,command="{quoted}" {kind} {blob} {safe}'.rstrip()


def write(path: Path, line: str, *, peer: str) -> Written:
    """Put the line into `authorized_keys`, whole or not at all, other lines untouched.

    The same line again changes nothing; a line of the same key and peer with another path is
    replaced.

    Raises:
        BadInput: the key stands there without our forced command, or for another peer: the
            earlier line would win.
    """
    target = Path(os.path.realpath(path))
    _make_folder(target.parent)
    before = _lines(target)
    kind, blob = line.rsplit("command=", 1)[1].rpartition('" ')[2].split()[:2]
    kept: list[str] = []
    for old in before:
        if old.lstrip().startswith("#") or f"{kind} {blob}" not in " ".join(old.split()):
            kept.append(old)
        elif old != line:
            _refuse_other(old, target, peer)
    if before.count(line) == len(before) - len(kept) == 1:
        return Written(target, line, False)
    _write_lines(target, [*kept, line])
    return Written(target, line, True)


def _lines(path: Path) -> list[str]:
    # Others write here too: what is not UTF-8, or a line end to Python only, stays as it is.
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return []
    return text.removesuffix("\n").split("\n") if text else []


def _write_lines(path: Path, lines: list[str]) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    text = "".join(f"{line}\n" for line in lines)
    write_atomically(path, text.encode("utf-8", "surrogateescape"), mode=mode)


def _refuse_other(old: str, path: Path, peer: str) -> None:
    ours = re.match(r'restrict,command="(?:\\"|[^"])* serve --peer ([A-Za-z0-9._-]+)"', old)
    if ours is None:
        raise BadInput(
            f"{path}: this key stands there already without a forced command",
            hint="that line lets it do anything; remove it first, or give the peer a key of its own",
        )
    if ours.group(1) != peer:
        raise BadInput(
            f"{path}: this key already speaks for peer {ours.group(1)!r}",
            hint=f"`spool peer remove {ours.group(1)}` first, or use another key",
        )


def remove(path: Path, *, peer: str, home: Path) -> bool:
    """Take the lines of a peer of this home out; False where there is none."""
    target = Path(os.path.realpath(path))
    before = _lines(target)
    kept = [old for old in before if not _is_of(old, peer, home)]
    if len(kept) == len(before):
        return False
    _write_lines(target, kept)
    return True


def default_path() -> Path:
    """Where sshd looks for this account's keys unless it is told otherwise."""
    # As sshd does it: the account's own home, whatever HOME says.
    return Path(pwd.getpwuid(os.getuid()).pw_dir, ".ssh", "authorized_keys")


def find(path: Path, *, peer: str, home: Path) -> str | None:
    """The line that lets a peer of this home in, None where there is none. Raises OSError."""
    return next((line for line in _lines(path) if _is_of(line, peer, home)), None)


def rivals(path: Path, line: str) -> list[str]:
    """Other lines for the same key: of all of them sshd takes the first. Raises OSError."""
    kind, blob = line.rpartition('" ')[2].split()[:2]
    lines = [old for old in _lines(path) if old != line and not old.lstrip().startswith("#")]
    return [old for old in lines if f"{kind} {blob}" in " ".join(old.split())]


def program(line: str) -> str:
    """The program that a line of ours starts; empty where it cannot be told."""
    command = re.match(r'restrict,command="((?:\\"|[^"])*)"', line)
    if command is None:
        return ""
    try:
        return next(iter(shlex.split(command.group(1).replace('\\"', '"'))), "")
    except ValueError:
        return ""


def strict_modes(path: Path) -> str | None:
    """What sshd's StrictModes (sshd_config(5)) would refuse about the file, its folder and the home."""
    for each in (path, path.parent, path.parent.parent):
        found = each.stat()
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return f"sshd ignores the key while others may write to {each}: `chmod go-w {each}`"
        if found.st_uid not in (0, os.getuid()):
            return f"sshd ignores the key while {each} belongs to somebody else"
    return None


def _is_of(line: str, peer: str, home: Path) -> bool:
    quoted = shlex.quote(str(home)).replace('"', '\\"')
    return line.startswith("restrict,command=") and f'--home {quoted} serve --peer {peer}"' in line


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise BadInput(f"{folder}: {exc.strerror}") from exc
