"""What a look at a far host found, whether spool can be put there, and which wheels fit it."""

from __future__ import annotations

from typing import Final

import msgspec

NEED_BYTES: Final = 160 << 20
_OLD_LINUX: Final = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What `there.look` tells; see there."""

    python: str
    version: tuple[int, int]
    system: str
    machine: str
    bits: int
    libc: str
    mac: str
    host: str
    user: str
    home: str
    writable: bool
    noexec: bool
    free_bytes: int
    link_is_file: bool
    index: bool
    spools: dict[str, str]
    keys_writable: bool
    key_lines: list[str]
    spool_host: str
    spool_agents: list[str]
    spool_peers: dict[str, list[str]]

    def has(self, version: str) -> str:
        """The path of a spool of this version; empty where there is none."""
        return next((path for path, found in self.spools.items() if found == version), "")

    @property
    def where(self) -> str:
        """The Python and the platform, for a person."""
        libc = f", {self.libc}" if self.libc else ""
        return f"Python {self.version[0]}.{self.version[1]} ({self.python}), {self.machine}{libc}"


def obstacle(facts: Facts) -> str:
    """Why spool cannot be put there; empty where it can."""
    link = f"{facts.home}/.local/bin/spool"
    if facts.system not in ("linux", "darwin"):
        return f"{facts.system} is neither Linux nor macOS"
    if not facts.writable:
        return f"{facts.home} cannot be written"
    if facts.noexec:
        return f"{facts.home} is mounted noexec: nothing can be run from it"
    if facts.free_bytes < NEED_BYTES:
        return f"{facts.free_bytes >> 20} MB are free, and {NEED_BYTES >> 20} are needed"
    if facts.link_is_file:
        return f"{link} is a file that some other installation put there"
    return ""


def platforms(facts: Facts) -> list[str]:
    """The platform tags of the wheels that the far host can use (PEP 600, PEP 656), the newest first."""
    arch = {"amd64": "x86_64", "arm64": "aarch64"}.get(facts.machine.lower(), facts.machine.lower())
    if facts.bits == 32:
        arch = {"x86_64": "i686", "aarch64": "armv7l"}.get(arch, arch)
    if facts.system == "darwin":
        major = facts.mac.split(".")[0]
        return [f"macosx_{major}_0_{'arm64' if arch == 'aarch64' else arch}"]
    if facts.libc.startswith("musl"):
        return [f"musllinux_1_{minor}_{arch}" for minor in (2, 1)]
    minor = facts.libc.removeprefix("glibc 2.").split(".")[0]
    newest = int(minor) if minor.isdigit() else 17
    modern = [f"manylinux_2_{each}_{arch}" for each in range(newest, 4, -1)]
    return modern + [f"{name}_{arch}" for name, least in _OLD_LINUX.items() if least <= newest]
