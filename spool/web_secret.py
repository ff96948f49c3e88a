"""The secrets that this host shares with its HTTPS peers: found where the config says, and made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from spool import credentials
from spool.config import Peer
from spool.errors import BadConfig, NoCredential
from spool.transports import http_signed

RANDOM_BYTES: Final = 32
MOST: Final = 4


def of(peer: Peer, home: Path) -> tuple[str, ...]:
    """The secrets shared with a peer, the one in use first; two with a comma between while it is changed.

    Raises:
        NoCredential: there is none where the config says, or it is none. The secret itself is never told.
    """
    what = f"the secret of {peer.name}"
    if not has_one(peer):
        raise NoCredential(
            f"{what}: its config names none", hint="name one by secret_file, secret_command or secret_env"
        )
    path = str(path_of(peer, home)) if peer.secret_file else ""
    found = credentials.read(what, env=peer.secret_env, file=path, command=peer.secret_command)
    secrets = found.split(",")[:MOST]
    try:
        return tuple(map(http_signed.check, secrets))
    except BadConfig as exc:
        raise NoCredential(f"{what}: {exc.message}", hint=exc.hint) from None


def has_one(peer: Peer) -> bool:
    """Whether the config says where a secret is: only such a peer may post here."""
    return bool(peer.secret_file or peer.secret_command or peer.secret_env)


def stamp(peer: Peer, home: Path) -> tuple[int, int, int] | None:
    """What changes with the file of a peer's secret; None where it has none."""
    if not peer.secret_file:
        return None
    try:
        found = path_of(peer, home).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def path_of(peer: Peer, home: Path) -> Path:
    """Where the file of a peer's secret lies; a relative name is one in the home."""
    return home / Path(peer.secret_file).expanduser()


def make(path: Path) -> str:
    """Write a new secret into a file that nobody else can read, and return it.

    Raises:
        BadConfig: there is a file already, or it cannot be made.
    """
    import base64
    import secrets

    secret = http_signed.PREFIX + base64.b64encode(secrets.token_bytes(RANDOM_BYTES)).decode()
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise BadConfig(f"{path} is there already", hint="a secret in use is not overwritten") from None
    except OSError as exc:
        raise BadConfig(f"{path}: {exc.strerror}", hint="name a file in a folder that is there") from exc
    with os.fdopen(file, "w") as opened:
        opened.write(secret + "\n")
        opened.flush()
        os.fsync(opened.fileno())
    return secret
