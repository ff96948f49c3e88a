"""Changes to spool.toml that keep its comments: agents and peers, added and removed."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomlkit

from spool import config
from spool.errors import BadInput, UnknownPeer
from spool.home import write_atomically


def add_agent(home: Path, name: str) -> bool:
    """Add an agent of this host; False where it is there."""
    with _edited(home) as tree:
        agents = tree["host"].setdefault("agents", tomlkit.array())
        if name in agents:
            return False
        agents.append(name)
    return True


def remove_agent(home: Path, name: str) -> None:
    """Remove an agent of this host. Raises BadInput where it is not there."""
    with _edited(home) as tree:
        agents = tree["host"].get("agents", [])
        if name not in agents:
            raise BadInput(f"no agent {name!r} here", hint="`spool agent list` shows who reads here")
        agents.remove(name)


def set_peer(home: Path, name: str, values: Mapping[str, Any]) -> None:
    """Add a peer, or change the named keys of one; empty values are left out."""
    with _edited(home) as tree:
        peers = tree.setdefault("peers", tomlkit.table(is_super_table=True))
        peer: Any = peers.setdefault(name, tomlkit.table())
        for key, value in values.items():
            if value:
                peer[key] = value
            elif key in peer and value is not None:
                del peer[key]


def remove_peer(home: Path, name: str) -> None:
    """Remove a peer. Raises UnknownPeer where there is none."""
    with _edited(home) as tree:
        peers = tree.get("peers", {})
        if name not in peers:
            raise UnknownPeer(f"no peer {name!r} here")
        del peers[name]


@contextlib.contextmanager
def _edited(home: Path) -> Iterator[Any]:
    """The tree of spool.toml, written back whole if the result is a good config."""
    path = home / config.FILE
    config.load(home)
    (home / "run").mkdir(mode=0o700, exist_ok=True)
    lock = os.open(home / "run" / "config.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Two editors at once: the second sees what the first wrote.
        fcntl.flock(lock, fcntl.LOCK_EX)
        config.load(home)
        tree: Any = tomlkit.parse(path.read_text("utf-8"))
        before = tree.as_string()
        yield tree
        after = tree.as_string()
        if after != before:
            config.parse(after, where=str(path))
            write_atomically(path, after.encode(), mode=0o600)
    finally:
        os.close(lock)
