"""The folders of a peer whose host has a shell and scp, but no SFTP server: the fallback of `sftp://`.

Uploads go by scp into one hidden file for many messages; a fixed script there takes it apart,
checks each hash and syncs. So a cut upload publishes nothing, and a file costs no round trip.
"""

from __future__ import annotations

import hashlib
import io
import secrets
import stat
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final, Literal, TypeVar

import paramiko
import scp

from spool.config import Peer
from spool.errors import FileTrouble, FolderMissing, LinkError, LinkLost, NoFilesThere, TimedOut
from spool.transports.base import Entry, Failure, Files, Witness
from spool.transports.paths import shown, split
from spool.transports.patience import Patience
from spool.transports.scp_scripts import escaped
from spool.transports.sftp_jobs import remote
from spool.transports.shell import REQUEST_BYTES, Shell
from spool.transports.ssh_connection import Connection
from spool.transports.ssh_settings import Hop

BATCH: Final = 250  # files for one run of a script
BUNDLE_BYTES: Final = 1024 * 1024
# How much of an upload has arrived is not told until its end; a line slower than this is given up.
SLOWEST_BPS: Final = 64 * 1024
FETCH_BYTES: Final = 16 * 1024 * 1024
_MAKE_IT: Final = "make that folder there, or correct inbox and outbox of the peer in spool.toml"
_ALLOW: Final = (
    "allow sftp there (`Subsystem sftp internal-sftp` in sshd_config), and the key to use it: "
    "its line in authorized_keys must have no forced command but internal-sftp"
)

T = TypeVar("T")
Item = TypeVar("Item")


def open_over(connection: Connection, hop: Hop, peer: Peer) -> Files:
    """Use the shell of a host that is logged in to.

    Raises:
        NoFilesThere: there is none, or it lacks what we need.
        LinkError: the connection broke.
    """
    closed = threading.Event()
    try:
        shell = Shell(connection, hop, closed=closed, stall_s=peer.connect_timeout_s)
        [found] = shell.ask("probe", [])
    except (LinkLost, TimedOut) as exc:
        # Another command in the place of the shell often just waits.
        if isinstance(exc, LinkLost) and not connection.is_up():
            raise
        raise NoFilesThere(f"no sftp there, nor a plain shell: {exc.message}", hint=_ALLOW) from exc
    has, _, rest = found.decode("utf-8", "replace").partition(" ")
    if has != "has":
        raise NoFilesThere(f"{hop.where}: no sftp there, and its shell lacks {rest}", hint=_ALLOW)
    return Scp(connection, shell, hop, closed=closed, peer=peer, boot=rest.strip())


class Scp:
    """Folders through a shell and scp; see `Files` for the promise."""

    durable = True

    def __init__(
        self,
        connection: Connection,
        shell: Shell,
        hop: Hop,
        *,
        closed: threading.Event,
        peer: Peer,
        boot: str,
    ) -> None:
        self._connection = connection
        self._shell = shell
        self._where = hop.where
        self._closed = closed
        self._stall_s = peer.connect_timeout_s
        self._mode = peer.mode.encode()
        self._boot = boot

    def entries(self, folder: str) -> list[Entry]:
        """What is in a folder."""
        listed, *records = self._shell.ask("entries", [], [_far(folder)])
        if listed.strip() != b"listed":
            raise FolderMissing(f"{self._where}: {shown(folder)}: {_reason(listed)}", hint=_MAKE_IT)
        # stat ends each line, and the next record begins with a line feed of its own.
        records[-1:] = [record.removesuffix(b"\n") for record in records[-1:]]
        found = [_entry(*_stat_and_name(record)) for record in records]
        return [entry for entry in found if entry.name not in (".", "..")]

    def look(self, paths: Sequence[str]) -> list[Entry | Failure | None]:
        """What stands there."""

        def answer(path: str, records: Iterator[bytes]) -> Entry | Failure | None:
            kind, _, rest = next(records).partition(b" ")
            if kind == b"is":
                return _entry(rest, path.rpartition("/")[2])
            return None if kind == b"none" else Failure(f"{shown(path)}: {_reason(kind + b' ' + rest)}")

        return self._each("look", paths, _itself, answer)

    def fetch(self, paths: Sequence[str], *, max_bytes: int) -> list[bytes | Failure | None]:
        """The first bytes of each file."""
        return self._fetch(paths, 0, max_bytes)

    def put(self, files: Sequence[tuple[str, bytes]]) -> list[Failure | None]:
        """Make new files."""
        results: list[Failure | None] = [_unnamed(path) for path, _ in files]
        costs = {n: len(files[n][1]) for n, failed in enumerate(results) if failed is None}
        for batch in _batches(costs, most=BATCH, most_bytes=BUNDLE_BYTES):
            for n, failed in zip(batch, self._put([files[n] for n in batch]), strict=True):
                results[n] = failed
        return results

    def move(self, pairs: Sequence[tuple[str, str]]) -> list[bool | Failure]:
        """Rename, never over what is there."""
        words = {b"ok": True, b"taken": False}
        return self._each(
            "move",
            pairs,
            lambda pair: pair,
            lambda pair, records: _verdict(" to ".join(map(shown, pair)), next(records), words),
        )

    def remove(self, paths: Sequence[str]) -> list[bool | Failure]:
        """Remove files."""
        words = {b"ok": True, b"none": False}
        return self._each(
            "remove", paths, _itself, lambda path, records: _verdict(shown(path), next(records), words)
        )

    def sync(self, folder: str) -> None:
        """Sync a folder's names."""
        [record] = self._shell.ask("sync", [], [_far(folder)])
        if record == b"ok":
            return
        reason = f"{self._where}: {shown(folder)}: the sync failed: {_reason(record)}"
        if record.endswith((b"No such file or directory", b"Not a directory")):
            raise FolderMissing(reason, hint=_MAKE_IT)
        raise LinkError(reason, hint="look at that disk, and at its log")

    def make(self, folder: str) -> None:
        """Make a folder and those above it."""
        above = [str(path) for path in reversed(PurePosixPath(folder).parents)]
        wanted = [path for path in (*above, folder) if path not in ("/", ".", "~")]
        [record] = self._shell.ask("make", [], [_far(path) for path in wanted])
        if record != b"ok":
            raise FolderMissing(f"{self._where}: {shown(folder)}: {_reason(record)}", hint=_MAKE_IT)

    def read(self, path: str, offset: int, size: int) -> bytes:
        """Bytes from within a file."""
        [got] = self._fetch([path], offset, size)
        if isinstance(got, Failure):
            raise FileTrouble(got.reason)
        if got is None:
            raise FileTrouble(f"{shown(path)}: no such file or folder")
        return got

    def write(self, path: str, offset: int, data: bytes) -> None:
        """Put bytes into a file."""
        folder, _ = split(path)
        upload = _hidden(folder)
        if failed := self._upload(upload, data):
            raise FileTrouble(f"{shown(path)}: {failed}")
        digest = hashlib.sha256(data).hexdigest().encode()
        words: list[bytes | int] = [self._mode, offset, len(data), digest]
        [record] = self._shell.ask("write", words, [_far(upload), _far(path)])
        if record != b"ok":
            raise FileTrouble(f"{shown(path)}: {_reason(record)}")

    def seal(self, path: str) -> None:
        """Sync a file."""
        [found] = self.look([path])
        if isinstance(found, Entry) and found.kind != "file":
            raise FileTrouble(f"{shown(path)}: no regular file ({found.kind})")
        [record] = self._shell.ask("sync", [], [_far(path)])
        if record != b"ok":
            raise FileTrouble(f"{shown(path)}: {_reason(record)}")

    def witness(self, folder: str) -> Witness | None:
        """None: a shell tells of reading what its file system tells, and that is not asked here."""
        return None

    def boot(self) -> str:
        """The kernel's own name for this run of it."""
        return self._boot

    def close(self) -> None:
        """End the connection."""
        self._closed.set()
        self._connection.close()

    def _fetch(self, paths: Sequence[str], offset: int, max_bytes: int) -> list[bytes | Failure | None]:
        def answer(path: str, records: Iterator[bytes]) -> bytes | Failure | None:
            record = next(records)
            if record.startswith(b"file "):
                ended = next(records)
                whole = ended == b"ended 0"
                return record[5:] if whole else Failure(f"{shown(path)}: it could not be read")
            return None if record == b"none" else Failure(f"{shown(path)}: {_reason(record)}")

        at_once = max(1, min(BATCH, FETCH_BYTES // max(1, max_bytes)))
        words = (max_bytes, offset)
        return self._each("fetch", paths, _itself, answer, words=words, at_once=at_once)

    def _put(self, files: Sequence[tuple[str, bytes]]) -> list[Failure | None]:
        """Make the files of one bundle, which is uploaded beside the first of them."""
        bundle = _hidden(split(files[0][0])[0])
        if failed := self._upload(bundle, b"".join(data for _, data in files)):
            self.remove([bundle])
            return [Failure(f"{shown(path)}: {failed}") for path, _ in files]
        lines = [
            b"%d %s %s" % (len(data), hashlib.sha256(data).hexdigest().encode(), _far(path))
            for path, data in files
        ]
        records = self._shell.ask("put", [self._mode, _far(bundle)], lines)
        if len(records) != len(files):
            raise self._lost("the far script left files out")
        answers = zip(files, records, strict=True)
        return [
            None if said == b"ok" else Failure(f"{shown(path)}: {_reason(said)}")
            for (path, _), said in answers
        ]

    def _upload(self, path: str, data: bytes) -> str | None:
        """Put bytes into a hidden file by scp; what went wrong, if anything did."""
        limit_s = self._stall_s + len(data) / SLOWEST_BPS
        with Patience(limit_s, self._connection.cut) as patience:
            try:
                client = scp.SCPClient(
                    self._connection.transport(),
                    socket_timeout=None,
                    progress=lambda name, size, sent: patience.progress(),
                )
                with client:
                    client.putfo(io.BytesIO(data), remote(path), mode="0600", size=len(data))
            except (scp.SCPException, paramiko.SSHException, OSError, EOFError) as exc:
                if patience.late:
                    raise TimedOut(f"{self._where}: nothing moved for {limit_s:.0f} s") from exc
                if self._closed.is_set() or not self._connection.is_up():
                    raise self._lost(str(exc)) from exc
                return shown(str(exc).strip()) or "the upload failed"
        return None

    def _lost(self, problem: str) -> LinkLost:
        if self._closed.is_set():
            problem = "the connection was closed on this side"
        return LinkLost(f"{self._where}: {problem or 'the connection broke'}")

    def _each(
        self,
        operation: str,
        items: Sequence[Item],
        paths: Callable[[Item], Sequence[str]],
        answer: Callable[[Item, Iterator[bytes]], T],
        *,
        words: Sequence[int] = (),
        at_once: int | None = None,
    ) -> list[T | Failure]:
        """Ask for an operation on items, many in one request, and read its answer for each."""
        results: dict[int, T | Failure] = {}
        good: list[int] = []
        for n, item in enumerate(items):
            if failed := next(filter(None, map(_unnamed, paths(item))), None):
                results[n] = failed
            else:
                good.append(n)
        lines = {n: b" ".join(map(_far, paths(items[n]))) for n in good}
        costs = {n: len(line) for n, line in lines.items()}
        for batch in _batches(costs, most=at_once or BATCH, most_bytes=REQUEST_BYTES):
            records = iter(self._shell.ask(operation, words, [lines[n] for n in batch]))
            for n in batch:
                try:
                    results[n] = answer(items[n], records)
                except StopIteration as exc:
                    raise self._lost("the far script left files out") from exc
        return [results[n] for n in range(len(items))]


def _far(path: str) -> bytes:
    raw = remote(path)
    return escaped(raw if raw.startswith(b"/") else b"./" + raw)


def _hidden(folder: str) -> str:
    return f"{folder}/.bundle.{secrets.token_hex(8)}.part"


def _batches(costs: Mapping[int, int], *, most: int, most_bytes: int) -> Iterator[list[int]]:
    """Cut what is to be done into runs that are neither too many nor too big."""
    batch: list[int] = []
    size = 0
    for n, cost in costs.items():
        if batch and (size + cost > most_bytes or len(batch) >= most):
            yield batch
            batch, size = [], 0
        batch.append(n)
        size += cost
    if batch:
        yield batch


def _unnamed(path: str) -> Failure | None:
    try:
        split(path)
    except FileTrouble as exc:
        return Failure(exc.message)
    return None


def _itself(path: str) -> Sequence[str]:
    return (path,)


def _verdict(path: str, record: bytes, words: dict[bytes, bool]) -> bool | Failure:
    found = words.get(record)
    return Failure(f"{path}: {_reason(record)}") if found is None else found


def _reason(record: bytes) -> str:
    """What the far shell said went wrong, on one line."""
    said = record.decode("utf-8", "surrogateescape").removeprefix("failed ").strip()
    return shown(" ".join(said.split())) or "it failed"


def _stat_and_name(record: bytes) -> tuple[bytes, str]:
    mode, size, mtime, name = record.split(b" ", 3)
    return b" ".join((mode, size, mtime)), name.decode("utf-8", "surrogateescape")


def _entry(numbers: bytes, name: str) -> Entry:
    mode, size, mtime = numbers.split()
    kinds: dict[int, Literal["file", "folder", "link"]]
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
    return Entry(name, kinds.get(stat.S_IFMT(int(mode, 16)), "other"), int(size), float(mtime))
