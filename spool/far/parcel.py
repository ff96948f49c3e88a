"""A wheel of the spool that runs here, from an installation or from a checkout."""

from __future__ import annotations

import base64
import hashlib
import re
import tomllib
import zipfile
from importlib import metadata, util
from pathlib import Path
from typing import Final, NamedTuple

from spool.errors import CannotInstall
from spool.version import VERSION

DISTRIBUTION: Final = "agent-spool"
PACKAGES: Final = ("spool", "workers")
_INFO: Final = f"agent_spool-{VERSION}.dist-info"
_FIXED_TIME: Final = (2020, 1, 1, 0, 0, 0)  # the same code makes the same wheel


class Parcel(NamedTuple):
    """A wheel, and what it needs."""

    path: Path
    requires: list[str]


def wheel(folder: Path) -> Parcel:
    """Write the wheel of what runs here into a folder.

    Raises:
        CannotInstall: what it needs is written down nowhere.
    """
    requires = _requires()
    head = [f"Name: {DISTRIBUTION}", f"Version: {VERSION}", "Requires-Python: >=3.11"]
    files = _packages() | {
        f"{_INFO}/METADATA": _lines(
            "Metadata-Version: 2.1", *head, *(f"Requires-Dist: {r}" for r in requires)
        ),
        f"{_INFO}/WHEEL": _lines(
            "Wheel-Version: 1.0", "Generator: spool", "Root-Is-Purelib: true", "Tag: py3-none-any"
        ),
        f"{_INFO}/entry_points.txt": _lines("[console_scripts]", "spool = spool.cli:main"),
    }
    path = folder / f"agent_spool-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in [*files.items(), (f"{_INFO}/RECORD", _record(files))]:
            archive.writestr(zipfile.ZipInfo(name, _FIXED_TIME), content, zipfile.ZIP_DEFLATED)
    return Parcel(path, requires)


def _requires() -> list[str]:
    """The requirements without extras: a checkout's own, else those of the installation."""
    project = Path(__file__).parents[2] / "pyproject.toml"
    if project.is_file():
        told = tomllib.loads(project.read_text("utf-8")).get("project", {})
        if told.get("name") == DISTRIBUTION:
            return list(told["dependencies"])
    try:
        found = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError as exc:
        raise CannotInstall(
            "the spool that runs here does not know what it needs",
            hint="install it with pip, or run a checkout",
        ) from exc
    return [line for line in found if not re.search(r";.*\bextra\b", line)]


def _packages() -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for name in PACKAGES:
        spec = util.find_spec(name)
        if spec is None or spec.origin is None:
            raise CannotInstall(
                f"the package {name} is not to be found here", hint="install spool here again"
            )
        root = Path(spec.origin).parent
        for path in sorted(root.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                files[f"{name}/{path.relative_to(root).as_posix()}"] = path.read_bytes()
    return files


def _record(files: dict[str, bytes]) -> bytes:
    """A wheel's list of its files, each with hash and size."""
    rows = []
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(content)}")
    return _lines(*rows, f"{_INFO}/RECORD,,")


def _lines(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
