"""A seccomp filter that stops a process at the calls that change a disk, and lets all others run."""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Final, NamedTuple

_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_SECCOMP: Final = 22
_FILTER: Final = 2
_ALLOW: Final = 0x7FFF0000
_TRACE: Final = 0x7FF00000
# Classic BPF: load a word of seccomp_data, jump if equal, return a constant.
_LOAD: Final = 0x20
_EQUAL: Final = 0x15
_RETURN: Final = 0x06
_AT_NUMBER: Final = 0
_AT_MACHINE: Final = 4


class Machine(NamedTuple):
    """What the kernel calls a processor, and its numbers of the calls that change a disk."""

    audit: int
    calls: dict[str, int]


# <asm/unistd_64.h> and <asm-generic/unistd.h>; the latter has none of the calls that newer ones replace.
_X86_64: Final = {
    "write": 1,
    "pwrite64": 18,
    "writev": 20,
    "fsync": 74,
    "fdatasync": 75,
    "ftruncate": 77,
    "rename": 82,
    "link": 86,
    "unlink": 87,
    "unlinkat": 263,
    "renameat": 264,
    "linkat": 265,
    "pwritev": 296,
    "renameat2": 316,
}
_AARCH64: Final = {
    "unlinkat": 35,
    "linkat": 37,
    "renameat": 38,
    "ftruncate": 46,
    "write": 64,
    "writev": 66,
    "pwrite64": 68,
    "pwritev": 70,
    "fsync": 82,
    "fdatasync": 83,
    "renameat2": 276,
}
_MACHINES: Final = {"x86_64": Machine(0xC000003E, _X86_64), "aarch64": Machine(0xC00000B7, _AARCH64)}

MACHINE: Final = _MACHINES.get(platform.machine())


class _Step(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_uint16),
        ("then", ctypes.c_uint8),
        ("otherwise", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    ]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("steps", ctypes.POINTER(_Step))]


def put_on(machine: Machine) -> None:
    """Let this process, and all that it starts, stop for its tracer at each of the machine's calls.

    Each stop carries the number of its call, so that the tracer need not ask for it.

    Raises:
        OSError: the kernel allows no filter here.
    """
    numbers = list(machine.calls.values())
    rules: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, _AT_MACHINE),
        (_EQUAL, 1, 0, machine.audit),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _AT_NUMBER),
    ]
    for number in numbers:
        rules += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _TRACE | number)]
    rules.append((_RETURN, 0, 0, _ALLOW))
    steps = (_Step * len(rules))(*[_Step(*rule) for rule in rules])
    libc = ctypes.CDLL(None, use_errno=True)
    program = _Program(len(rules), steps)
    # Without it only root may set a filter.
    _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(libc.prctl(_PR_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0))


def _checked(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"no seccomp filter: {os.strerror(ctypes.get_errno())}")
