"""Folders of files peers for tests: the same ones reached as a local folder, by sftp, and by scp."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from spool.config import Peer
from spool.transports import directory, sftp
from spool.transports.base import Files
from spool.transports.scp import Scp
from spool.transports.sftp import Sftp
from tests.sshd import Sshd

# What a shared web host without GNU has instead; scp comes from OpenSSH there too.
APPLETS: Final = "sh cat dd head tail stat rm mkdir chmod sync xargs mv link ln sha256sum printf"
KINDS: Final = ("directory", "sftp", "scp", "scp with busybox")


@dataclass
class Reach:
    """A way to some folders.

    Attributes:
        folder: one of the peer's folders, on this machine.
        port: of the sshd, or of a proxy in front of it; 0 for local folders.
    """

    kind: str
    folder: Path
    home: Path
    port: int = 0
    user: str = ""
    host_key: str = ""
    opened: list[Files] = field(default_factory=list)

    @property
    def is_local(self) -> bool:
        """Whether no network is in between."""
        return self.kind == "directory"

    def peer(self, **more: object) -> Peer:
        """The peer as the config would have it."""
        url = "dir:" if self.is_local else f"sftp://{self.user}@127.0.0.1:{self.port}"
        fields: dict[str, object] = {
            "name": "far",
            "url": url,
            "host_key": self.host_key,
            "inbox": str(self.folder),
            "connect_timeout_s": 5.0,
            **more,
        }
        return Peer(**fields)  # type: ignore[arg-type]  # the tests name fields that Peer has

    def open(self, **more: object) -> Files:
        """Reach the folders; closed at the end of the test."""
        module = directory if self.is_local else sftp
        files = module.open_files(self.peer(**more), self.home)
        self.opened.append(files)
        expected = {"directory": directory.Directory, "sftp": Sftp}.get(self.kind, Scp)
        assert isinstance(files, expected), f"{self.kind} was to be tested, not {type(files).__name__}"
        return files

    def at(self, name: str, folder: Path | None = None) -> str:
        """The path of a name in the folder."""
        return f"{folder or self.folder}/{name}"

    def names(self) -> list[str]:
        """What is in the folder, by the file system itself."""
        return sorted(os.listdir(self.folder))


@contextlib.contextmanager
def sshd_of(kind: str, folder: Path, *, config: str = "") -> Iterator[Sshd]:
    """An sshd that offers what a kind of reach needs, and no more."""
    if kind == "scp with busybox":
        config += f'\nForceCommand env PATH={_busybox_only(folder)} sh -c "$SSH_ORIGINAL_COMMAND"\n'
    with Sshd(folder / "sshd", config=config, sftp=kind == "sftp") as sshd:
        yield sshd


def forced(script: Path, text: str) -> str:
    """A line for sshd_config that puts a script before whatever is asked for."""
    script.write_text(f'#!/bin/sh\n{text}\neval "$SSH_ORIGINAL_COMMAND"\n')
    script.chmod(0o755)
    return f"ForceCommand {script}"


def sftp_server() -> str:
    """The path of OpenSSH's sftp-server, which a wrapper can start."""
    for path in (
        "/usr/lib/openssh/sftp-server",
        "/usr/libexec/sftp-server",
        "/usr/libexec/openssh/sftp-server",
    ):
        if Path(path).exists():
            return path
    pytest.fail("no sftp-server here: install openssh-sftp-server", pytrace=False)


def _busybox_only(folder: Path) -> Path:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("no busybox here: apt-get install busybox")
    scp = shutil.which("scp")
    assert scp is not None, "no scp here: install openssh-client"
    path = folder / "busybox"
    path.mkdir()
    for name in APPLETS.split():
        (path / name).symlink_to(busybox)
    (path / "scp").symlink_to(scp)
    return path
