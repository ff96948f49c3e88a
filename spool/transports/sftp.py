"""The folders of a peer whose host has an sshd and nothing of ours: `sftp://`."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, TypeVar

from spool.config import Peer
from spool.errors import FileTrouble, FolderMissing, LinkError, LinkLost
from spool.transports import scp, ssh_login
from spool.transports import sftp_jobs as jobs
from spool.transports import sftp_packets as packets
from spool.transports.base import Entry, Failure, Files, Witness
from spool.transports.paths import shown, split
from spool.transports.sftp_packets import Extended, Garbled, Reply
from spool.transports.sftp_pipeline import Job, Pipeline
from spool.transports.ssh_channel import Wire
from spool.transports.ssh_connection import Connection
from spool.transports.ssh_settings import Hop

MAX_HANDLES: Final = 100  # what a server may have open for us where it does not say
MOST_HANDLES: Final = 256  # and where it does
MAX_JOBS: Final = 512
_MAKE_IT: Final = "make that folder there, or correct inbox and outbox of the peer in spool.toml"
_KEY_HINT: Final = (
    "there, in authorized_keys: keys/id_ed25519.pub of this home, without a forced command or with "
    'command="internal-sftp"; or here: identity = "user"'
)

T = TypeVar("T")
Item = TypeVar("Item")


def open_files(peer: Peer, home: Path, *, ssh_config: Path | None = None) -> Files:
    """Log in to the host of an `sftp://` url and start its SFTP server.

    `ssh_config` is read in the place of ~/.ssh/config. Each step takes at most `connect_timeout_s`.

    Raises:
        LinkError: of the kind that says which step failed.
        BadConfig: ssh's or spool's config asks for what cannot be done.
    """
    connection, hop = ssh_login.arrive(peer, home, hint=_KEY_HINT, ssh_config=ssh_config)
    with ssh_login.closed_if_failed(connection):
        return _start(connection, hop, peer)


def _start(connection: Connection, hop: Hop, peer: Peer) -> Files:
    if (channel := connection.subsystem(hop, "sftp")) is not None:
        closed = threading.Event()
        wire = Wire(connection, channel, where=hop.where, closed=closed, stall_s=peer.connect_timeout_s)
        try:
            return Sftp(connection, wire, closed=closed, mode=int(peer.mode, 8), where=hop.where)
        except LinkLost:
            # Named in sshd's config and not installed, or a shell's start-up file talks on its line.
            if not connection.is_up():
                raise
            wire.close()
    return scp.open_over(connection, hop, peer)


class Sftp:
    """Folders through an SFTP server; see `Files` for the promise."""

    def __init__(
        self, connection: Connection, wire: Wire, *, closed: threading.Event, mode: int, where: str
    ) -> None:
        self._connection = connection
        self._wire = wire
        self._closed = closed
        self._mode = mode
        self._where = where
        self._pipeline = Pipeline(wire)
        self._broken = False
        with self._exchange():
            offered = self._pipeline.hello()
        self._server = jobs.Server(
            fsync=packets.FSYNC in offered,
            statvfs=packets.STATVFS in offered,
            careful_rename=packets.POSIX_RENAME in offered,
        )
        self.durable = self._server.fsync
        self._handles = self._ask_limit() if packets.LIMITS in offered else MAX_HANDLES

    def entries(self, folder: str) -> list[Entry]:
        """What is in a folder."""
        found = self._alone(jobs.entries(folder))
        if isinstance(found, Failure):
            raise FolderMissing(f"{self._where}: {found.reason}", hint=_MAKE_IT)
        return found

    def look(self, paths: Sequence[str]) -> list[Entry | Failure | None]:
        """What stands there."""
        return self._each(paths, _itself, jobs.look)

    def fetch(self, paths: Sequence[str], *, max_bytes: int) -> list[bytes | Failure | None]:
        """The first bytes of each file."""
        return self._each(
            paths, _itself, lambda path: jobs.fetch(path, max_bytes=max_bytes), at_once=self._handles
        )

    def put(self, files: Sequence[tuple[str, bytes]]) -> list[Failure | None]:
        """Make new files."""
        return self._each(
            files,
            lambda file: file[:1],
            lambda file: jobs.put(*file, mode=self._mode, server=self._server),
            at_once=self._handles,
        )

    def move(self, pairs: Sequence[tuple[str, str]]) -> list[bool | Failure]:
        """Rename, never over what is there."""
        return self._each(pairs, lambda pair: pair, lambda pair: jobs.move(*pair, server=self._server))

    def remove(self, paths: Sequence[str]) -> list[bool | Failure]:
        """Remove files."""
        return self._each(paths, _itself, jobs.remove)

    def sync(self, folder: str) -> None:
        """Sync a folder's names."""
        if not self.durable:
            return
        failed = self._alone(jobs.sync_folder(folder))
        if failed is None:
            return
        reason = f"{self._where}: {jobs.why(folder, failed)}"
        if failed.code == packets.NO_SUCH_FILE:
            raise FolderMissing(reason, hint=_MAKE_IT)
        raise LinkError(f"{reason} (while syncing)", hint="look at that disk, and at its log")

    def make(self, folder: str) -> None:
        """Make a folder and those above it."""
        above = [str(path) for path in reversed(PurePosixPath(folder).parents)]
        wanted = [path for path in (*above, folder) if path not in ("/", ".", "~")]
        failed = self._alone(jobs.make_folders(wanted))
        if failed is not None:
            raise FolderMissing(f"{self._where}: {failed.reason}", hint=_MAKE_IT)

    def read(self, path: str, offset: int, size: int) -> bytes:
        """Bytes from within a file."""
        got = self._one(path, jobs.fetch(path, offset=offset, max_bytes=size))
        if got is None:
            raise FileTrouble(f"{shown(path)}: no such file or folder")
        return got

    def write(self, path: str, offset: int, data: bytes) -> None:
        """Put bytes into a file."""
        self._one(path, jobs.write(path, offset, data, mode=self._mode))

    def seal(self, path: str) -> None:
        """Sync a file."""
        if self.durable:
            self._one(path, jobs.seal(path))

    def witness(self, folder: str) -> Witness | None:
        """Nothing: an access time from there is told in whole seconds, and not by every server."""
        return None

    def boot(self) -> str:
        """The kernel's own name for this run of it."""
        return self._alone(jobs.boot())

    def close(self) -> None:
        """End the connection."""
        self._closed.set()
        self._connection.close()

    def _each(
        self,
        items: Sequence[Item],
        paths: Callable[[Item], Sequence[str]],
        job: Callable[[Item], Job[T]],
        *,
        at_once: int = MAX_JOBS,
    ) -> list[T | Failure]:
        """A job for each item, all of whose folders must be none but folders."""
        folders = {folder for item in items for path in paths(item) if (folder := _folder(path))}
        bad = self._links(sorted(folders))

        def checked(item: Item) -> Job[T | Failure]:
            for path in paths(item):
                if (folder := _folder(path)) is None or folder in bad:
                    problem = jobs.A_LINK if folder else "names no file in a folder"
                    return Failure(f"{shown(path)}: {problem}")
            return (yield from job(item))

        return self._run((checked(item) for item in items), at_once)

    def _links(self, folders: Sequence[str]) -> set[str]:
        found = self._run(map(jobs.look, folders), MAX_JOBS)
        looked = zip(folders, found, strict=True)
        return {folder for folder, entry in looked if isinstance(entry, Entry) and entry.kind == "link"}

    def _one(self, path: str, job: Job[T | Failure]) -> T:
        [got] = self._each([path], _itself, lambda path: job)
        if isinstance(got, Failure):
            raise FileTrouble(got.reason)
        return got

    def _alone(self, job: Job[T]) -> T:
        return self._run([job], 1)[0]

    def _run(self, work: Iterator[Job[T]] | Sequence[Job[T]], at_once: int) -> list[T]:
        with self._exchange():
            return self._pipeline.run(work, at_once=at_once)

    @contextlib.contextmanager
    def _exchange(self) -> Iterator[None]:
        """One exchange, bounded in time; where it fails, what is on its way makes the next impossible."""
        if self._broken or self._closed.is_set():
            raise self._wire.lost("the connection broke before")
        try:
            with self._wire.bounded():
                yield
        except Garbled as exc:
            self._broken = True
            raise LinkLost(f"{self._where}: what came is not SFTP: {exc}") from exc
        except BaseException:
            self._broken = True
            raise

    def _ask_limit(self) -> int:
        [reply] = self._run([_ask(packets.extended(packets.LIMITS))], 1)
        if not isinstance(reply, Extended) or len(reply.raw) < 32:
            return MAX_HANDLES
        most = int.from_bytes(reply.raw[24:32], "big")  # 0: it does not say
        return max(1, min(most // 2, MOST_HANDLES)) if most else MAX_HANDLES


def _ask(request: packets.Request) -> Job[Reply]:
    [reply] = yield [request]
    return reply


def _itself(path: str) -> Sequence[str]:
    return (path,)


def _folder(path: str) -> str | None:
    try:
        return split(path)[0]
    except FileTrouble:
        return None
