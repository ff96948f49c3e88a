"""A VFS between SQLite and the disk, in which calls fail as a test says, and which records what was written.

It stands at the C interface (sqlite.org/c3ref/vfs.html, c3ref/io_methods.html) and not in methods of
`apsw.VFSFile`: an exception from one of those reaches whoever executes a statement even where SQLite has
overcome the error, as it does while it writes its log back after a commit. Here an error is a number
that SQLite gets and nobody else, as from a real disk. And so the calls on shared memory can fail as well.
"""

from __future__ import annotations

import ctypes as c
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import apsw

FULL: Final = apsw.SQLITE_FULL
# With the first sync of one that it has made, SQLite's own VFS syncs the folder, too.
_BESIDE: Final = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL
# What may fail, each with what SQLite's own VFS says then.
KINDS: Final[dict[str, int]] = {
    "open": apsw.SQLITE_CANTOPEN,
    "delete": apsw.SQLITE_IOERR_DELETE,
    "access": apsw.SQLITE_IOERR_ACCESS,
    "read": apsw.SQLITE_IOERR_READ,
    "write": apsw.SQLITE_IOERR_WRITE,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "size": apsw.SQLITE_IOERR_FSTAT,
    "lock": apsw.SQLITE_IOERR_LOCK,
    "shm map": apsw.SQLITE_IOERR_SHMMAP,
    "shm lock": apsw.SQLITE_IOERR_SHMLOCK,
}

_FILE, _LONG, _OUT, _NAME = c.c_void_p, c.c_int64, c.c_void_p, c.c_void_p
_INT: Final = c.c_int


def _call(*arguments: Any) -> Any:
    return c.CFUNCTYPE(_INT, *arguments)


_XOPEN: Final = _call(c.c_void_p, _NAME, _FILE, _INT, c.c_void_p)
_XDELETE: Final = _call(c.c_void_p, _NAME, _INT)
_XACCESS: Final = _call(c.c_void_p, _NAME, _INT, _OUT)
# In the order of the structure; the first field is the version, and what has no type here is left alone.
_METHODS: Final[dict[str, Any]] = {
    "xClose": _call(_FILE),
    "xRead": _call(_FILE, c.c_void_p, _INT, _LONG),
    "xWrite": _call(_FILE, c.c_void_p, _INT, _LONG),
    "xTruncate": _call(_FILE, _LONG),
    "xSync": _call(_FILE, _INT),
    "xFileSize": _call(_FILE, _OUT),
    "xLock": _call(_FILE, _INT),
    "xUnlock": None,
    "xCheckReservedLock": None,
    "xFileControl": None,
    "xSectorSize": None,
    "xDeviceCharacteristics": None,
    "xShmMap": _call(_FILE, _INT, _INT, _INT, _OUT),
    "xShmLock": _call(_FILE, _INT, _INT, _INT),
    "xShmBarrier": None,
    "xShmUnmap": None,
    "xFetch": None,
    "xUnfetch": None,
}


class _Methods(c.Structure):
    _fields_ = [("version", _INT), *((name, c.c_void_p) for name in _METHODS)]


class _Table(c.Structure):
    _fields_ = [
        ("version", _INT),
        ("file_size", _INT),
        ("longest_path", _INT),
        ("next", c.c_void_p),
        ("name", c.c_char_p),
        ("own", c.c_void_p),
        ("xOpen", c.c_void_p),
        ("xDelete", c.c_void_p),
        ("xAccess", c.c_void_p),
    ]


@dataclass
class Fault:
    """The `nth` call of a kind, counted from 1, fails with SQLite's code; `lasting`: all later ones too.

    `short`: a write that fails has written its first half. `fired` says how often it failed.
    """

    kind: str
    nth: int
    code: int = 0
    lasting: bool = False
    short: bool = False
    fired: int = 0
    _seen: int = field(default=0, repr=False)

    def trips(self, kind: str) -> bool:
        """Count a call, and say whether it fails."""
        if kind != self.kind:
            return False
        self._seen += 1
        fails = self._seen == self.nth or (self.lasting and self._seen > self.nth)
        self.fired += fails
        return fails


class Written(NamedTuple):
    """Bytes went into a file; `inode` is a number of ours for it, its name may go to another one."""

    inode: int
    offset: int
    raw: bytes


class Cut(NamedTuple):
    """A file was made this long."""

    inode: int
    size: int


class Synced(NamedTuple):
    """A file is on the disk; `folder`: so are the names of all files beside it."""

    inode: int
    folder: bool


class Lost(NamedTuple):
    """A file could not be synced: the kernel takes what was not on the disk for written, and never writes it.

    See lwn.net/Articles/752063.
    """

    inode: int


class Named(NamedTuple):
    """A file was made under a name, or, without an inode, the name was taken away; `synced`: on the disk."""

    name: str
    inode: int | None
    synced: bool = False


Change = Written | Cut | Synced | Lost | Named


class _File(NamedTuple):
    inode: int
    methods: dict[str, Any]


class FaultyVfs:
    """The default VFS, under a name of its own, with one fault at a time and a record of changes.

    Attributes:
        name: for `SqliteStore`, `connect` and `create`.
        fault: what is to fail; None for nothing.
        changes: what happened to databases, logs and journals, in order; not to temporary files. None
            records nothing.
    """

    _numbers = itertools.count(1)

    def __init__(self) -> None:
        self.name = f"faulty-{next(self._numbers)}"
        self.fault: Fault | None = None
        self.changes: list[Change] | None = None
        self._inodes: dict[str, int] = {}
        self._fresh = itertools.count(1)
        self._unsynced: set[int] = set()
        self._files: dict[int, _File] = {}
        self._kept: dict[int, tuple[_Methods, list[Any], dict[str, Any]]] = {}
        self._registered = apsw.VFS(self.name, "", maxpathname=0)
        self._under = _table("")
        self._stand_in(_Table.from_address(_table(self.name)))

    def close(self) -> None:
        """Take the name away; every connection must be closed."""
        assert not self._files, "a file of this VFS is open"
        self._registered.unregister()

    def inode(self, path: str) -> int:
        """Our number for the file that has this name now."""
        if path not in self._inodes:
            self._inodes[path] = next(self._fresh)
        return self._inodes[path]

    def forget(self) -> None:
        """Somebody has put other files in the place of all."""
        self._inodes.clear()
        self._unsynced.clear()

    def _stand_in(self, table: _Table) -> None:
        under = _Table.from_address(self._under)
        real = {name: kind(getattr(under, name)) for name, kind in _ON_NAMES.items()}
        mine = {
            "xOpen": lambda _, *rest: self._open(real["xOpen"], *rest),
            "xDelete": lambda _, *rest: self._delete(real["xDelete"], *rest),
            "xAccess": lambda _, *rest: self._fails("access") or real["xAccess"](self._under, *rest),
        }
        self._calls = [kind(mine[name]) for name, kind in _ON_NAMES.items()]
        for name, call in zip(_ON_NAMES, self._calls, strict=True):
            setattr(table, name, c.cast(call, c.c_void_p).value)
        # SQLite makes room for the file before it is opened: as much as the one below wants.
        table.file_size = under.file_size

    def _fails(self, kind: str) -> int:
        if self.fault is None or not self.fault.trips(kind):
            return 0
        return self.fault.code or KINDS[kind]

    def _note(self, change: Change) -> None:
        if self.changes is not None and (
            not isinstance(change, Written | Cut | Synced | Lost) or change.inode
        ):
            self.changes.append(change)

    # -- names --------------------------------------------------------------------------------

    def _open(self, real: Any, name: int | None, file: int, flags: int, out: int) -> int:
        if failed := self._fails("open"):
            # SQLite closes what has methods, also where it was not opened.
            c.c_void_p.from_address(file).value = None
            return failed
        kept = flags & (apsw.SQLITE_OPEN_MAIN_DB | _BESIDE)
        path = os.fsdecode(c.string_at(name)) if name and kept else ""
        made = bool(path) and not os.path.exists(path)
        code = int(real(self._under, name, file, flags, out))
        if code == apsw.SQLITE_OK:
            if made:
                self._inodes.pop(path, None)
                self._note(Named(path, self.inode(path)))
            inode = self.inode(path) if path else 0
            pointer = c.c_void_p.from_address(file)
            if made and flags & _BESIDE:
                self._unsynced.add(inode)
            mine, _, below = self._methods(pointer.value or 0)
            self._files[file] = _File(inode, below)
            pointer.value = c.addressof(mine)
        return code

    def _delete(self, real: Any, name: int, synced: int) -> int:
        if failed := self._fails("delete"):
            return failed
        code = int(real(self._under, name, synced))
        path = os.fsdecode(c.string_at(name))
        if code == apsw.SQLITE_OK and path in self._inodes:
            del self._inodes[path]
            self._note(Named(path, None, bool(synced)))
        return code

    # -- files --------------------------------------------------------------------------------

    def _methods(self, original: int) -> tuple[_Methods, list[Any], dict[str, Any]]:
        """A table like the original one, with calls of ours in it: one for each that SQLite uses."""
        if original not in self._kept:
            below = _Methods.from_address(original)
            mine = _Methods.from_buffer_copy(below)
            named = {name: kind for name, kind in _METHODS.items() if kind and getattr(below, name)}
            real = {name: kind(getattr(below, name)) for name, kind in named.items()}
            calls = []
            for name, kind in named.items():
                calls.append(kind(_STEPS[name].__get__(self)))
                setattr(mine, name, c.cast(calls[-1], c.c_void_p).value)
            self._kept[original] = (mine, calls, real)
        return self._kept[original]

    def _close(self, file: int) -> int:
        return int(self._files.pop(file).methods["xClose"](file))

    def _read(self, file: int, into: int, size: int, offset: int) -> int:
        return self._fails("read") or int(self._files[file].methods["xRead"](file, into, size, offset))

    def _write(self, file: int, raw: int, size: int, offset: int) -> int:
        known = self._files[file]
        failed = self._fails("write")
        if failed:
            assert self.fault is not None
            size = size // 2 if self.fault.short else 0
        code = int(known.methods["xWrite"](file, raw, size, offset)) if size else 0
        if size and not code:
            self._note(Written(known.inode, offset, c.string_at(raw, size)))
        return failed or code

    def _truncate(self, file: int, size: int) -> int:
        if failed := self._fails("truncate"):
            return failed
        known = self._files[file]
        code = int(known.methods["xTruncate"](file, size))
        if not code:
            self._note(Cut(known.inode, size))
        return code

    def _sync(self, file: int, flags: int) -> int:
        if failed := self._fails("sync"):
            self._note(Lost(self._files[file].inode))
            return failed
        # The disk itself is not troubled: what it would keep is what the record says.
        inode = self._files[file].inode
        self._note(Synced(inode, inode in self._unsynced))
        self._unsynced.discard(inode)
        return apsw.SQLITE_OK

    def _size(self, file: int, out: int) -> int:
        return self._fails("size") or int(self._files[file].methods["xFileSize"](file, out))

    def _lock(self, file: int, level: int) -> int:
        return self._fails("lock") or int(self._files[file].methods["xLock"](file, level))

    def _shm_map(self, file: int, region: int, size: int, extend: int, out: int) -> int:
        failed = self._fails("shm map")
        return failed or int(self._files[file].methods["xShmMap"](file, region, size, extend, out))

    def _shm_lock(self, file: int, offset: int, count: int, flags: int) -> int:
        # To let go of a lock does not fail, and SQLite does not ask whether it did.
        failed = 0 if flags & apsw.SQLITE_SHM_UNLOCK else self._fails("shm lock")
        return failed or int(self._files[file].methods["xShmLock"](file, offset, count, flags))


_ON_NAMES: Final = {"xOpen": _XOPEN, "xDelete": _XDELETE, "xAccess": _XACCESS}
_STEPS: Final[dict[str, Callable[..., int]]] = {
    "xClose": FaultyVfs._close,
    "xRead": FaultyVfs._read,
    "xWrite": FaultyVfs._write,
    "xTruncate": FaultyVfs._truncate,
    "xSync": FaultyVfs._sync,
    "xFileSize": FaultyVfs._size,
    "xLock": FaultyVfs._lock,
    "xShmMap": FaultyVfs._shm_map,
    "xShmLock": FaultyVfs._shm_lock,
}


def _table(vfs: str) -> int:
    """Where SQLite keeps what it knows of a VFS."""
    connection = apsw.Connection(":memory:", vfs=vfs or None)
    found = c.c_void_p()
    connection.file_control("main", apsw.SQLITE_FCNTL_VFS_POINTER, c.addressof(found))
    connection.close()
    assert found.value is not None
    return found.value
