"""The token or secret with which a peer is reached: from the environment, a file or a command."""

from __future__ import annotations

import importlib
import os
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

from spool.config import Peer
from spool.errors import NoCredential, PeerMisconfigured

COMMAND_S: Final = 30.0
LONGEST: Final = 4096


def token(peer: Peer) -> str:
    """The token of a github peer: from where its config says, else from $GITHUB_TOKEN.

    Raises:
        NoCredential: it is not there, or cannot be read; what is wrong is said, never what was read.
    """
    return read(
        f"the token of {peer.name}",
        env=peer.token_env or "GITHUB_TOKEN",
        file=peer.token_file,
        command=peer.token_command,
    )


def read(what: str, *, env: str = "", file: str = "", command: Sequence[str] = ()) -> str:
    """Read a credential from the first of these that is given: a command, a file, the environment.

    Args:
        what: names it in errors.
        command: an argument list, run without a shell; the first line of what it prints counts.

    Raises:
        NoCredential: see `token`.
    """
    if command:
        found = _from_command(what, command)
    elif file:
        found = _from_file(what, Path(file).expanduser())
    else:
        found = os.environ.get(env, "")
        if not found.strip():
            raise NoCredential(
                f"{what}: ${env} is not set for this process",
                hint="set it where spool is started, or name a file or a command in spool.toml",
            )
    return _plain(what, found.strip())


def needed(module: str, *, name: str, wanted_by: str) -> ModuleType:
    """Import what a peer of this kind needs and not everybody has.

    Raises:
        PeerMisconfigured: the extra of that name is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if (exc.name or "").split(".")[0] == "spool":
            raise
        raise PeerMisconfigured(
            f"{wanted_by} needs {exc.name}, which is not installed",
            hint=f"pip install 'agent-spool[{name}]' in spool's environment",
        ) from exc


def _from_file(what: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise NoCredential(f"{what}: {path} is not a file")
            if mode & 0o077:
                raise NoCredential(f"{what}: others may read {path}", hint=f"chmod 600 {path}")
            return file.read(LONGEST + 1).decode("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not UTF-8"
        raise NoCredential(f"{what}: {path}: {reason}", hint="the file holds it alone, as one line") from exc


def _from_command(what: str, command: Sequence[str]) -> str:
    name = command[0]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_S, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise NoCredential(f"{what}: {name} did not end within {COMMAND_S:.0f} s") from exc
    except OSError as exc:
        raise NoCredential(
            f"{what}: {name}: {exc.strerror}", hint="correct the command in spool.toml"
        ) from exc
    if done.returncode != 0:
        # What it printed may be the credential, or half of it.
        raise NoCredential(
            f"{what}: {name} ended with {done.returncode}", hint="run the command by hand to see why"
        )
    return done.stdout.decode("utf-8", "replace").strip().partition("\n")[0]


def _plain(what: str, found: str) -> str:
    # It becomes a header's value: a line end within it would begin another header.
    if not found or len(found) > LONGEST or not found.isascii() or not found.isprintable() or " " in found:
        raise NoCredential(f"{what}: what is there is not one line of plain characters")
    return found
