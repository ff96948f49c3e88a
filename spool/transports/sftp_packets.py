"""The packets of SFTP version 3 (draft-ietf-secsh-filexfer-02), and OpenSSH's extensions that we use."""

from __future__ import annotations

import stat
import struct
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

INIT, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT = 1, 2, 3, 4, 5, 6, 7, 8
FSETSTAT, OPENDIR, READDIR, REMOVE, MKDIR, RENAME = 10, 11, 12, 13, 14, 18
STATUS, HANDLE, DATA, NAME, ATTRS, EXTENDED, EXTENDED_REPLY = 101, 102, 103, 104, 105, 200, 201
OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE, UNSUPPORTED = 0, 1, 2, 3, 4, 5, 8
ALREADY_EXISTS: Final = 11  # of later versions; some servers say it in version 3 too
READ_FLAG, WRITE_FLAG, CREATE_FLAG, EXCLUSIVE_FLAG = 0x01, 0x02, 0x08, 0x20
HAS_SIZE, HAS_IDS, HAS_MODE, HAS_TIMES, HAS_MORE = 0x01, 0x02, 0x04, 0x08, 0x80000000

PIECE: Final = 32 * 1024  # what every server must take in one request
LIST_REPLY_BYTES: Final = 100 * 1024  # a hundred names of 255 bytes, each twice
_SMALL_REPLY: Final = 256

FSYNC: Final = b"fsync@openssh.com"
STATVFS: Final = b"statvfs@openssh.com"
LIMITS: Final = b"limits@openssh.com"
POSIX_RENAME: Final = b"posix-rename@openssh.com"  # never used: it writes over what is there


class Garbled(Exception):
    """What came is not SFTP."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request without its number; `reply_bytes` is about how much comes back."""

    kind: int
    body: bytes
    reply_bytes: int = _SMALL_REPLY

    def packet(self, number: int) -> bytes:
        """The whole packet."""
        return struct.pack(">IBI", len(self.body) + 5, self.kind, number) + self.body


@dataclass(frozen=True, slots=True)
class Status:
    """How it went; `text` is the server's own word."""

    code: int
    text: str = ""


@dataclass(frozen=True, slots=True)
class Handle:
    """An open file or folder."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of a file, at least one."""

    raw: bytes


class Attrs(NamedTuple):
    """What is known of a file; `mode` is None where the server does not say. `mtime` in seconds."""

    size: int
    owner: tuple[int, int] | None
    mode: int | None
    mtime: int

    @property
    def kind(self) -> Literal["file", "folder", "link", "other"]:
        """What it is; a server that does not say has nothing that we would open."""
        kinds: dict[int, Literal["file", "folder", "link"]]
        kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
        return kinds.get(stat.S_IFMT(self.mode or 0), "other")


@dataclass(frozen=True, slots=True)
class Names:
    """Some of a folder's names."""

    found: list[tuple[bytes, Attrs]]


@dataclass(frozen=True, slots=True)
class Extended:
    """The answer to an extended request."""

    raw: bytes


Reply = Status | Handle | Data | Names | Attrs | Extended


def open_file(path: bytes, flags: int, mode: int | None = None) -> Request:
    """Open a file; the server takes its umask from `mode`."""
    attrs = struct.pack(">I", 0) if mode is None else struct.pack(">II", HAS_MODE, mode)
    return Request(OPEN, text(path) + struct.pack(">I", flags) + attrs)


def close(handle: Handle) -> Request:
    """Close a file or folder."""
    return Request(CLOSE, text(handle.raw))


def read(handle: Handle, offset: int, size: int) -> Request:
    """Read at most `size` bytes."""
    return Request(READ, text(handle.raw) + struct.pack(">QI", offset, size), size + _SMALL_REPLY)


def write(handle: Handle, offset: int, data: bytes | memoryview) -> Request:
    """Write all of `data`, a piece at most."""
    return Request(WRITE, text(handle.raw) + struct.pack(">QI", offset, len(data)) + data)


def fstat(handle: Handle) -> Request:
    """Ask for the attributes of an open file."""
    return Request(FSTAT, text(handle.raw))


def set_mode(handle: Handle, mode: int) -> Request:
    """Set the mode of an open file."""
    return Request(FSETSTAT, text(handle.raw) + struct.pack(">II", HAS_MODE, mode))


def lstat(path: bytes) -> Request:
    """Ask for the attributes of what stands there, a link not followed."""
    return Request(LSTAT, text(path))


def open_folder(path: bytes) -> Request:
    """Open a folder to list it."""
    return Request(OPENDIR, text(path))


def list_folder(handle: Handle) -> Request:
    """Ask for more names."""
    return Request(READDIR, text(handle.raw), LIST_REPLY_BYTES)


def remove(path: bytes) -> Request:
    """Remove a file."""
    return Request(REMOVE, text(path))


def make_folder(path: bytes, mode: int) -> Request:
    """Make a folder."""
    return Request(MKDIR, text(path) + struct.pack(">II", HAS_MODE, mode))


def rename(old: bytes, new: bytes) -> Request:
    """The plain rename, which fails where the new name is taken."""
    return Request(RENAME, text(old) + text(new))


def extended(name: bytes, argument: bytes = b"") -> Request:
    """A request of an extension."""
    return Request(EXTENDED, text(name) + argument)


def text(raw: bytes) -> bytes:
    """A string as the packets have it: its length before it."""
    return struct.pack(">I", len(raw)) + raw


def decode(kind: int, body: bytes) -> Reply:
    """Take a reply apart, its number not among `body`.

    Raises:
        Garbled: it is no reply that we know.
    """
    reader = _Reader(body)
    match kind:
        case 101:
            code = reader.number()
            return Status(code, reader.string().decode("utf-8", "replace") if reader.left() else "")
        case 102:
            return Handle(reader.string())
        case 103:
            return Data(reader.string())
        case 104:
            return Names([reader.name() for _ in range(reader.number())])
        case 105:
            return reader.attrs()
        case 201:
            return Extended(body)
    raise Garbled(f"a packet of the unknown kind {kind}")


def extensions(body: bytes) -> dict[bytes, bytes]:
    """What the server offers: name and version of each extension, from its first packet."""
    reader = _Reader(body)
    if reader.number() < 3:
        raise Garbled("a version of SFTP before 3")
    offered: dict[bytes, bytes] = {}
    while reader.left():
        name = reader.string()
        offered[name] = reader.string()
    return offered


class _Reader:
    """Walks through a packet; what ends too soon is garbled."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def left(self) -> int:
        return len(self._body) - self._at

    def take(self, size: int) -> bytes:
        if size > self.left():
            raise Garbled("a packet that ends too soon")
        self._at += size
        return self._body[self._at - size : self._at]

    def number(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        return self.take(self.number())

    def name(self) -> tuple[bytes, Attrs]:
        name = self.string()
        self.string()  # the same as `ls -l` would print it
        return name, self.attrs()

    def attrs(self) -> Attrs:
        has = self.number()
        size = int.from_bytes(self.take(8), "big") if has & HAS_SIZE else 0
        owner = (self.number(), self.number()) if has & HAS_IDS else None
        mode = self.number() if has & HAS_MODE else None
        mtime = (self.number(), self.number())[1] if has & HAS_TIMES else 0
        for _ in range(2 * self.number() if has & HAS_MORE else 0):
            self.string()
        return Attrs(size, owner, mode, mtime)
