"""What a backup says of itself, and the only names that may stand in one."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from spool import config
from spool.folder import FOLDER
from spool.home import KEY
from spool.store import sqlite

# Raised where an older spool could not restore what a newer one packs.
FORM: Final = 1
NAME: Final = "manifest.json"
DATABASE: Final = sqlite.FILE
CONFIG: Final = config.FILE
PRIVATE: Final = str(KEY)
PUBLIC: Final = str(KEY.with_suffix(".pub"))
# The lines of ~/.ssh/authorized_keys that let peers in here.
LINES: Final = "keys/authorized_keys"
FILES: Final = f"{FOLDER}/"
_FILE: Final = re.compile(re.escape(FILES) + r"[0-9a-f]{64}")


class Packed(msgspec.Struct, frozen=True):
    """One file of a backup."""

    name: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The first entry of a backup. `made_at` in seconds since the epoch, by the clock of `host`."""

    form: int = FORM
    host: str
    spool: str
    schema: int
    made_at: float
    files: list[Packed]

    @property
    def bytes(self) -> int:
        """All that it packs, unpacked."""
        return sum(each.bytes for each in self.files)

    @property
    def attachments(self) -> set[str]:
        """The SHA-256 of each attachment in it."""
        return {each.name.removeprefix(FILES) for each in self.files if each.name.startswith(FILES)}

    @property
    def has_keys(self) -> bool:
        """Whether the private key of the host is in it."""
        return any(each.name == PRIVATE for each in self.files)


def is_allowed(name: str) -> bool:
    """Whether a file of this name may stand in a backup: no other is ever written."""
    return name in (DATABASE, CONFIG, PRIVATE, PUBLIC, LINES) or _FILE.fullmatch(name) is not None
