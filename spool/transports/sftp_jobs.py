"""What is asked of an SFTP server for each file: jobs for the pipeline, one function each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from spool.transports import sftp_packets as sftp
from spool.transports.base import Entry, Failure
from spool.transports.paths import shown, split
from spool.transports.sftp_packets import Attrs, Data, Extended, Handle, Names, Reply, Request, Status
from spool.transports.sftp_pipeline import Job

LISTS_AT_ONCE: Final = 8
BOOT_ID: Final = b"/proc/sys/kernel/random/boot_id"
A_LINK: Final = "the folder is a link; name what it points to"
_WORDS: Final = {
    sftp.EOF: "it ends there",
    sftp.NO_SUCH_FILE: "no such file or folder",
    sftp.PERMISSION_DENIED: "permission denied",
    sftp.BAD_MESSAGE: "the name is too long or not allowed",
    sftp.UNSUPPORTED: "the server cannot do that",
}


@dataclass(frozen=True, slots=True)
class Server:
    """What a server offers."""

    fsync: bool
    statvfs: bool
    careful_rename: bool  # knows a rename that replaces and, beside it, the plain one, which does not


def remote(path: str) -> bytes:
    """A path as the server takes it; the far home is where it starts."""
    return os.fsencode(path.removeprefix("~/") or ".") if path.startswith("~/") else os.fsencode(path)


def look(path: str) -> Job[Entry | Failure | None]:
    """What stands there."""
    [reply] = yield [sftp.lstat(remote(path))]
    match reply:
        case Attrs():
            return _entry(path.rpartition("/")[2], reply)
        case Status(code=sftp.NO_SUCH_FILE):
            return None
    return Failure(why(path, reply))


def entries(folder: str) -> Job[list[Entry] | Failure]:
    """What is in a folder."""
    found, opened = yield [sftp.lstat(remote(folder)), sftp.open_folder(remote(folder))]
    if not isinstance(opened, Handle):
        return Failure(why(folder, opened))
    if isinstance(found, Attrs) and found.kind == "link":
        yield [sftp.close(opened)]
        return Failure(f"{shown(folder)}: {A_LINK}")
    listed: list[Entry] = []
    ended: Status | None = None
    while ended is None:
        for reply in (yield [sftp.list_folder(opened)] * LISTS_AT_ONCE):
            match reply:
                case Names(found=names):
                    listed += [_entry(os.fsdecode(name), attrs) for name, attrs in names]
                case Status():
                    ended = ended or reply
                case _:
                    raise sftp.Garbled("a listing without names")
    yield [sftp.close(opened)]
    if ended.code != sftp.EOF:
        return Failure(why(folder, ended))
    return [entry for entry in listed if entry.name not in (".", "..")]


def fetch(path: str, *, offset: int = 0, max_bytes: int) -> Job[bytes | Failure | None]:
    """Bytes of a regular file; None where there is nothing of that name."""
    # Looked at first: a server opens whatever stands there, and waits in front of a pipe.
    [before] = yield [sftp.lstat(remote(path))]
    match before:
        case Status(code=sftp.NO_SUCH_FILE):
            return None
        case Attrs():
            if before.kind != "file":
                return Failure(f"{shown(path)}: no regular file ({before.kind})")
        case _:
            return Failure(why(path, before))
    [opened] = yield [sftp.open_file(remote(path), sftp.READ_FLAG)]
    match opened:
        case Handle():
            pass
        case Status(code=sftp.NO_SUCH_FILE):
            return None
        case _:
            return Failure(why(path, opened))
    pieces = _reads(opened, offset, min(offset + max_bytes, max(before.size, offset) + 1))
    found, *read, _ = yield [sftp.fstat(opened), *pieces, sftp.close(opened)]
    if not isinstance(found, Attrs):
        return Failure(why(path, found))
    if (found.kind, found.owner, found.mode) != (before.kind, before.owner, before.mode):
        return Failure(f"{shown(path)}: another file took its place while it was opened")
    return _joined(path, read, min(max_bytes, max(0, found.size - offset)))


def put(path: str, data: bytes, *, mode: int, server: Server) -> Job[Failure | None]:
    """Make a new file, checked, synced and read back."""
    flags = sftp.READ_FLAG | sftp.WRITE_FLAG | sftp.CREATE_FLAG | sftp.EXCLUSIVE_FLAG
    [opened] = yield [sftp.open_file(remote(path), flags, mode)]
    if not isinstance(opened, Handle):
        return (yield from _not_made(path, opened, server))
    back = _reads(opened, 0, len(data))
    checks = [sftp.set_mode(opened, mode), *_writes(opened, 0, data)]
    checks += [sftp.extended(sftp.FSYNC, sftp.text(opened.raw))] if server.fsync else []
    replies = yield [*checks, sftp.fstat(opened), *back, sftp.close(opened)]
    done, found, read, closed = _split(replies, len(checks), len(back))
    problem = _first_problem([*done[1:], closed]) or _unlike(data, mode, found, read)
    if problem is None:
        return None
    space, removed = yield [_ask_space(path, server), sftp.remove(remote(path))]
    if _is_full(space, len(data)):
        problem += ", and no space is left there"
    if _first_problem([removed]):
        problem += "; it cannot be removed either"
    return Failure(f"{shown(path)}: {problem}")


def write(path: str, offset: int, data: bytes, *, mode: int) -> Job[Failure | None]:
    """Put bytes into a file, made where there is none."""
    [before] = yield [sftp.lstat(remote(path))]
    new = isinstance(before, Status) and before.code == sftp.NO_SUCH_FILE
    if isinstance(before, Attrs) and before.kind != "file":
        return Failure(f"{shown(path)}: no regular file ({before.kind})")
    flags = sftp.WRITE_FLAG | (sftp.CREATE_FLAG | sftp.EXCLUSIVE_FLAG if new else 0)
    [opened] = yield [sftp.open_file(remote(path), flags, mode if new else None)]
    if not isinstance(opened, Handle):
        return Failure(why(path, opened))
    asked = [*_writes(opened, offset, data), *([sftp.set_mode(opened, mode)] if new else [])]
    problem = _first_problem((yield [*asked, sftp.close(opened)]))
    return Failure(f"{shown(path)}: {problem}") if problem else None


def seal(path: str) -> Job[Failure | None]:
    """Sync a regular file."""
    [before] = yield [sftp.lstat(remote(path))]
    if isinstance(before, Attrs) and before.kind != "file":
        return Failure(f"{shown(path)}: no regular file ({before.kind})")
    [opened] = yield [sftp.open_file(remote(path), sftp.READ_FLAG)]
    if not isinstance(opened, Handle):
        return Failure(why(path, opened))
    replies = yield [sftp.extended(sftp.FSYNC, sftp.text(opened.raw)), sftp.close(opened)]
    problem = _first_problem(replies)
    return Failure(f"{shown(path)}: {problem}") if problem else None


def sync_folder(folder: str) -> Job[Status | None]:
    """Sync a folder's names; what went wrong, if anything did.

    Nothing did where the server opens no folder as a file: then it cannot be had.
    """
    [opened] = yield [sftp.open_file(remote(folder), sftp.READ_FLAG)]
    match opened:
        case Status(code=sftp.NO_SUCH_FILE):
            return opened
        case Handle():
            pass
        case _:
            return None
    synced, _ = yield [sftp.extended(sftp.FSYNC, sftp.text(opened.raw)), sftp.close(opened)]
    if not isinstance(synced, Status):
        raise sftp.Garbled("an answer to a sync that is none")
    return None if synced.code in (sftp.OK, sftp.UNSUPPORTED) else synced


def move(old: str, new: str, *, server: Server) -> Job[bool | Failure]:
    """Rename, never over what is there."""
    if not server.careful_rename:
        [taken] = yield [sftp.lstat(remote(new))]
        if isinstance(taken, Attrs):
            return False
    [renamed] = yield [sftp.rename(remote(old), remote(new))]
    match renamed:
        case Status(code=sftp.OK):
            return True
        case Status(code=sftp.FAILURE | sftp.ALREADY_EXISTS):
            [taken] = yield [sftp.lstat(remote(new))]
            if isinstance(taken, Attrs):
                return False
            there = isinstance(taken, Status) and taken.code == sftp.NO_SUCH_FILE
            return Failure(f"{shown(old)} to {shown(new)}: {_said(renamed)}", unknown=not there)
    return Failure(f"{shown(old)} to {shown(new)}: {_said(renamed)}")


def remove(path: str) -> Job[bool | Failure]:
    """Remove a file."""
    [removed] = yield [sftp.remove(remote(path))]
    match removed:
        case Status(code=sftp.OK):
            return True
        case Status(code=sftp.NO_SUCH_FILE):
            return False
    return Failure(why(path, removed))


def make_folders(folders: Sequence[str]) -> Job[Failure | None]:
    """Make folders, the outermost first; the last one must be there then."""
    replies = yield [
        *(sftp.make_folder(remote(folder), 0o700) for folder in folders),
        sftp.lstat(remote(folders[-1])),
    ]
    made, found = replies[-2], replies[-1]
    if isinstance(found, Attrs) and found.kind == "folder":
        return None
    if isinstance(found, Attrs):
        return Failure(f"{shown(folders[-1])}: no folder ({found.kind})")
    return Failure(why(folders[-1], made))


def boot() -> Job[str]:
    """The name of this run of the far kernel, "" where there is none to be had."""
    [opened] = yield [sftp.open_file(BOOT_ID, sftp.READ_FLAG)]
    if not isinstance(opened, Handle):
        return ""
    read, _ = yield [sftp.read(opened, 0, 64), sftp.close(opened)]
    return read.raw.decode("ascii", "replace").strip() if isinstance(read, Data) else ""


def why(path: str, reply: Reply) -> str:
    """The path and what the server said."""
    return f"{shown(path)}: {_said(reply)}"


def _said(reply: Reply) -> str:
    if not isinstance(reply, Status):
        raise sftp.Garbled(f"an answer of another kind ({type(reply).__name__})")
    return _WORDS.get(reply.code) or f"the server says only {shown(reply.text or str(reply.code))!r}"


def _entry(name: str, attrs: Attrs) -> Entry:
    return Entry(name, attrs.kind, attrs.size, float(attrs.mtime))


def _reads(handle: Handle, start: int, end: int) -> list[Request]:
    return [sftp.read(handle, at, min(sftp.PIECE, end - at)) for at in range(start, end, sftp.PIECE)]


def _writes(handle: Handle, start: int, data: bytes) -> list[Request]:
    rest = memoryview(data)
    return [
        sftp.write(handle, start + at, rest[at : at + sftp.PIECE]) for at in range(0, len(data), sftp.PIECE)
    ]


def _split(replies: list[Reply], checks: int, back: int) -> tuple[list[Reply], Reply, list[Reply], Reply]:
    return replies[:checks], replies[checks], replies[checks + 1 : checks + 1 + back], replies[-1]


def _first_problem(replies: Sequence[Reply]) -> str | None:
    for reply in replies:
        if not isinstance(reply, Status) or reply.code != sftp.OK:
            return _said(reply)
    return None


def _unlike(data: bytes, mode: int, found: Reply, read: Sequence[Reply]) -> str | None:
    """What is wrong with what stands there."""
    if not isinstance(found, Attrs):
        return _said(found)
    if found.size != len(data) or not (_back(read) == data or _is_drop_box(read)):
        return "what stands there is not what was written"
    if found.mode is not None and found.mode & 0o777 != mode:
        return f"its mode is {found.mode & 0o777:04o} and cannot be made {mode:04o}"
    return None


def _back(read: Sequence[Reply]) -> bytes:
    return b"".join(reply.raw for reply in read if isinstance(reply, Data))


def _is_drop_box(read: Sequence[Reply]) -> bool:
    """Whether nothing may be read there (sftp-server -p); every write was answered with yes all the same."""
    refused = (sftp.PERMISSION_DENIED, sftp.UNSUPPORTED)
    return bool(read) and all(isinstance(reply, Status) and reply.code in refused for reply in read)


def _joined(path: str, read: Sequence[Reply], expected: int) -> bytes | Failure:
    pieces: list[bytes] = []
    for reply in read:
        match reply:
            case Data(raw=raw):
                pieces.append(raw)
            case Status(code=sftp.EOF):
                break
            case _:
                return Failure(why(path, reply))
    whole = b"".join(pieces)
    if len(whole) < expected:
        return Failure(f"{shown(path)}: it changed while it was read")
    return whole


def _not_made(path: str, reply: Reply, server: Server) -> Job[Failure | None]:
    """Why a new file could not be opened; OpenSSH calls most of it just a failure."""
    found, space = yield [sftp.lstat(remote(path)), _ask_space(path, server)]
    if isinstance(found, Attrs):
        return Failure(f"{shown(path)}: it is there already")
    full = ", and no space is left there" if _is_full(space, 1) else ""
    return Failure(why(path, reply) + full)


def _ask_space(path: str, server: Server) -> Request:
    folder = split(path)[0]
    if not server.statvfs:
        return sftp.lstat(remote(folder))
    return sftp.extended(sftp.STATVFS, sftp.text(remote(folder)))


def _is_full(space: Reply, wanted: int) -> bool:
    """Whether blocks or inodes have run out (PROTOCOL of OpenSSH, section 4.5)."""
    if not isinstance(space, Extended) or len(space.raw) < 88:
        return False
    numbers = [int.from_bytes(space.raw[at : at + 8], "big") for at in range(0, 88, 8)]
    _, fragment, _, _, blocks, inodes, _, free_inodes, *_ = numbers
    return blocks * fragment < wanted or (inodes > 0 and free_inodes == 0)
