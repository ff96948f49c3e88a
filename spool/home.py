"""A spool home: where it is, what makes it, and the key it keeps."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final, NamedTuple

from spool import config
from spool.errors import BadInput, UnsafeHome
from spool.message import NAME

KEY: Final = Path("keys") / "id_ed25519"
NETWORK_FILE_SYSTEMS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "afs", "ceph", "glusterfs", "fuse.glusterfs", "9p"}
)

_TEMPLATE: Final = """\
# spool: who reads on this host, and the hosts it exchanges mail with.
# A change is picked up within seconds; `spool status` says so if something is wrong with it.

[host]
name = "{name}"
agents = [{agents}]
"""


class Made(NamedTuple):
    """What `init` found or made; `new` is False where the home was there."""

    home: Path
    host: str
    agents: list[str]
    public_key: str
    new: bool


def default() -> Path:
    """`$SPOOL_HOME`, else `~/.spool`."""
    named = os.environ.get("SPOOL_HOME")
    return Path(named).expanduser().absolute() if named else Path.home() / ".spool"


def init(home: Path, *, name: str | None, agents: list[str]) -> Made:
    """Make the home: folder, key, config, database. One that is there keeps everything it has.

    Raises:
        BadConfig, BadInput: a name that is none, or another name than the home has.
        UnsafeHome: the place cannot be trusted with mail.
    """
    from spool.store import sqlite

    new = not (home / config.FILE).exists()
    if not new:
        found = config.load(home)
        if name is not None and name != found.host.name:
            raise BadInput(
                f"{home} is the home of host {found.host.name!r}, not {name!r}",
                hint=f"edit [host] name in {home / config.FILE}, or choose another --home",
            )
    host = name or _host_name()
    if not NAME.fullmatch(host):
        raise BadInput(f"{host!r} is not a host's name", hint="give --name with letters, digits, . _ -")
    text = _TEMPLATE.format(name=host, agents=", ".join(f'"{agent}"' for agent in agents))
    if new:
        config.parse(text)
    refuse_network_disk(home)
    _folder(home)
    for inner in ("run", "log", "keys"):
        _folder(home / inner)
    sqlite.refuse_unsafe(home)
    public = _key(home)
    sqlite.create(home)
    if new:
        # Last: with the config there, the home is whole.
        write_atomically(home / config.FILE, text.encode(), mode=0o600)
    made = config.load(home)
    return Made(home, made.host.name, list(made.host.agents), public, new)


def public_key(home: Path) -> str:
    """The home's own public key, as one line for `authorized_keys`.

    Raises:
        BadInput: there is none.
    """
    path = home / KEY.with_suffix(".pub")
    try:
        return path.read_text("ascii").strip()
    except OSError as exc:
        raise BadInput(f"{path}: {exc.strerror}", hint="`spool init` makes the key again") from exc


def refuse_network_disk(path: Path) -> None:
    """Refuse a place on a network file system: WAL needs a local disk.

    Raises:
        UnsafeHome: it is on one.
    """
    try:
        lines = Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    wanted = str(path.absolute())
    best, kind = "", ""
    for line in lines:
        _, at, found, *_ = line.split(" ")
        at = re.sub(r"\\(\d{3})", lambda m: chr(int(m.group(1), 8)), at)
        inside = wanted == at or wanted.startswith(at.rstrip("/") + "/")
        if inside and len(at) >= len(best):
            best, kind = at, found
    if kind in NETWORK_FILE_SYSTEMS:
        raise UnsafeHome(
            f"{path} is on a network file system ({kind} at {best})",
            hint="put the home on a local disk: set SPOOL_HOME",
        )


def write_atomically(path: Path, content: bytes, *, mode: int) -> None:
    """Replace a file whole or not at all; on the disk when this returns."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            # Not os.write: a disk that fills up takes a part and says so only by a number.
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise UnsafeHome(f"{path}: {exc.strerror}", hint="choose a folder of your own with --home") from exc


def _key(home: Path) -> str:
    private, public = home / KEY, home / KEY.with_suffix(".pub")
    if private.exists() and public.exists():
        return public_key(home)
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    write_atomically(
        private,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        ),
        mode=0o600,
    )
    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    write_atomically(public, line + f" spool@{_host_name()}\n".encode(), mode=0o644)
    return public_key(home)


def _host_name() -> str:
    import socket

    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname().partition(".")[0]) or "host"
