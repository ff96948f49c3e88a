"""Putting spool on a far host: from what is found there, by the first road that works."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from spool.config import Peer, parse_ssh
from spool.errors import BadConfig, CannotInstall
from spool.far import parcel, wheels
from spool.far.facts import NEED_BYTES, Facts, obstacle
from spool.far.shell import Far
from spool.transports import ssh_login
from spool.version import VERSION

Tell = Callable[[str, str], None]


class Put(NamedTuple):
    """Where spool lies now; `changed` is False where it lay there before."""

    path: str
    changed: bool


@contextlib.contextmanager
def arrived(peer: Peer, home: Path) -> Iterator[Far]:
    """The peer's host, logged in to with the user's own keys; the connection ends with the block.

    Raises:
        BadConfig: a peer without a host to log in to.
        LinkError: of the kind that says which step failed.
    """
    if peer.scheme not in ("ssh", "sftp"):
        raise BadConfig(
            f"{peer.name}: there is no host to log in to in {peer.url or 'its config: it dials us'}",
            hint="install spool there by hand: docs/install.md",
        )
    own = msgspec.structs.replace(peer, identity="user")
    connection, hop = ssh_login.arrive(own, home, hint=f"`ssh {parse_ssh(peer.url).host}` must work")
    with contextlib.closing(connection):
        yield Far(connection, hop)


def plan(facts: Facts) -> list[str]:
    """What `put` would do there, a line each; nothing where this version is there already."""
    if facts.has(VERSION):
        return []
    root = f"{facts.home}/.local/share/spool"
    source = (
        "its packages from the index that is reached there" if facts.index else "its packages, fetched here"
    )
    return [
        f"install spool {VERSION} for {facts.where}",
        f"carry it there, with {source}, into {root}/versions",
        f"link {facts.home}/.local/bin/spool to it, once it has run",
    ]


def refuse_impossible(facts: Facts) -> None:
    """Raise CannotInstall where spool cannot be put there."""
    if not facts.has(VERSION) and (why := obstacle(facts)):
        raise CannotInstall(f"{facts.user}@{facts.host}: {why}")


def put(far: Far, facts: Facts, tell: Tell) -> Put:
    """Install spool there; whatever fails, nothing is left of it. A home that is there stays as it is.

    Args:
        tell: hears of each step before it is taken, as a name and a detail.

    Raises:
        CannotInstall: it cannot be done, and why.
        LinkError: the connection broke; the far side undoes by itself what was begun.
    """
    if path := facts.has(VERSION):
        return Put(path, False)
    refuse_impossible(facts)
    with tempfile.TemporaryDirectory(prefix="spool-") as folder:
        own = parcel.wheel(Path(folder))
        if facts.index:
            try:
                return _carry(far, facts, [own.path], tell, carried=False)
            except CannotInstall as exc:
                tell("carry", f"the index there is no help ({exc.message}); the packages are fetched here")
        tell("fetch", f"packages for {facts.where}")
        wheels.fetch(facts, own.requires, Path(folder))
        return _carry(far, facts, sorted(Path(folder).glob("*.whl")), tell, carried=True)


def _carry(far: Far, facts: Facts, files: list[Path], tell: Tell, *, carried: bool) -> Put:
    size = sum(path.stat().st_size for path in files)
    tell("carry", f"{len(files)} packages, {size / 1e6:.1f} MB")
    request = {"spool": VERSION, "need_bytes": NEED_BYTES, "carried": carried}
    return Put(far.install(facts.python, request, files, lambda step: tell("there", step)), True)
