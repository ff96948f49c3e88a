"""The reader of spool.toml: a config that can be used as it stands, or one error that names the place."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import tomlkit

from spool import config, config_edit
from spool.config import Config
from spool.errors import BadConfig
from spool.router import Router

MOST_BYTES: Final = 8 * 1024
# What differs from one error of a kind to the next.
_VALUES: Final = re.compile(r"'[^']*'|`[^`]*`|\[peers\.[^\]]*\]|\d+")
_WORD: Final = 32


class Tables:
    """A home whose spool.toml holds whatever the input says."""

    most_bytes = MOST_BYTES

    def __init__(self, home: Path) -> None:
        self._home = home
        home.mkdir(exist_ok=True)

    def __call__(self, raw: bytes) -> str:
        (self._home / config.FILE).write_bytes(raw)
        try:
            found = config.load(self._home)
        except BadConfig as exc:
            where = str(self._home / config.FILE)
            assert exc.message.startswith(where), "an error that does not name the file"
            assert len(str(exc)) < 1000 + 2 * len(raw), "an error longer than what it is about"
            return _VALUES.sub("_", exc.message.removeprefix(where))[:_WORD]
        _is_usable(found)
        _same_again(found)
        return self._edited(found)

    def memory(self, size: int) -> int:
        """The tree, what the patterns of peers have in common, and, in tomllib, the whole way to each part
        of a dotted key."""
        return 8 * 1024 * 1024 + 400 * size + size * size

    def _edited(self, before: Config) -> str:
        """What changes one key leaves every other one alone, or changes nothing."""
        try:
            config_edit.add_agent(self._home, "fresh-one")
        except BadConfig:
            assert config.load(self._home) == before, "refused, and changed all the same"
            return "taken, not edited"
        after = config.load(self._home)
        assert "fresh-one" in after.host.agents and after.peers == before.peers
        return "taken"


@contextlib.contextmanager
def target(scratch: Path) -> Iterator[Tables]:
    """The reader, over a home of its own."""
    config.overlap.cache_clear()
    yield Tables(scratch / "tables")


def _is_usable(found: Config) -> None:
    """No number is none, every peer can be asked for what it is asked for, and every route is made."""
    for table in (found.host, *found.peers.values()):
        for name, value in msgspec.structs.asdict(table).items():
            assert not isinstance(value, float) or math.isfinite(value), f"{name} is {value}"
            assert not isinstance(value, int | float) or value >= 0, f"{name} is {value}"
            assert not isinstance(value, str) or "\0" not in value, f"{name} holds a NUL"
    Router(found, {})
    for peer in found.peers.values():
        match peer.scheme:
            case "ssh" | "sftp":
                url = config.parse_ssh(peer.url)
                assert url.host and not url.host.startswith("-") and "\n" not in url.host
            case "exec":
                assert all("\0" not in word for word in config.parse_exec(peer.url))
        assert not peer.is_files or 0 <= int(peer.mode, 8) <= 0o777


def _same_again(found: Config) -> None:
    peers = {name: _given(peer) for name, peer in found.peers.items()}
    tree = {"host": msgspec.structs.asdict(found.host), "peers": peers}
    assert config.parse(tomlkit.dumps(tree)) == found, "another config when written"


def _given(peer: config.Peer) -> dict[str, Any]:
    return {key: value for key, value in msgspec.structs.asdict(peer).items() if value is not None}
