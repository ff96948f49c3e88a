"""What is decided before spool is put on a far host, and what is carried."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spool.errors import CannotInstall
from spool.far import parcel, putting, there, wheels
from spool.far.facts import NEED_BYTES, Facts, obstacle, platforms
from spool.far.shell import _LOADER
from spool.far.there import fill, place
from spool.version import VERSION
from tests.far_facts import facts


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"noexec": True}, "noexec"),
        ({"writable": False}, "cannot be written"),
        ({"free_bytes": NEED_BYTES - 1}, "MB are free"),
        ({"system": "freebsd14"}, "freebsd14"),
        ({"link_is_file": True}, "some other installation"),
    ],
)
def test_what_stands_in_the_way(changed: dict[str, Any], reason: str) -> None:
    """It is said before anything is carried, in one line."""
    assert reason in obstacle(facts(**changed))
    with pytest.raises(CannotInstall, match=reason):
        putting.refuse_impossible(facts(**changed))


def test_what_is_there_needs_no_room() -> None:
    """The same version, on a disk that is full now: there is nothing to do, so nothing is in the way."""
    there_already = facts(free_bytes=0, spools={"/home/ada/.local/bin/spool": VERSION})
    putting.refuse_impossible(there_already)
    assert putting.plan(there_already) == []


@pytest.mark.parametrize(
    ("changed", "first", "last"),
    [
        ({}, "manylinux_2_36_x86_64", "manylinux2014_x86_64"),
        ({"machine": "aarch64", "libc": "glibc 2.17"}, "manylinux_2_17_aarch64", "manylinux2014_aarch64"),
        ({"libc": "glibc 2.12"}, "manylinux_2_12_x86_64", "manylinux2010_x86_64"),
        ({"bits": 32}, "manylinux_2_36_i686", "manylinux2014_i686"),
        ({"libc": "musl"}, "musllinux_1_2_x86_64", "musllinux_1_1_x86_64"),
        ({"system": "darwin", "machine": "arm64", "mac": "14.5"}, "macosx_14_0_arm64", "macosx_14_0_arm64"),
    ],
)
def test_the_wheels_fit_the_far_machine(changed: dict[str, Any], first: str, last: str) -> None:
    """A wheel for a newer libc would be installed and then not be loaded."""
    tags = platforms(facts(**changed))
    assert (tags[0], tags[-1]) == (first, last)


def test_a_wheel_of_what_runs_here(tmp_path: Path) -> None:
    """All of our files, with their hashes; pip refuses a wheel whose RECORD is wrong."""
    made = parcel.wheel(tmp_path)
    with zipfile.ZipFile(made.path) as archive:
        rows = list(csv.reader(archive.read(f"agent_spool-{VERSION}.dist-info/RECORD").decode().splitlines()))
        names = {name for name, _, _ in rows}
        assert names == set(archive.namelist())
        for name, told, size in rows[:-1]:
            content = archive.read(name)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            assert (told, size) == (f"sha256={digest}", str(len(content)))
    assert {"spool/cli/root.py", "spool/kit/spool-lite", "spool/far/there/main.py", "workers/app.py"} <= names
    assert any(line.startswith("apsw>=3.51.3") for line in made.requires)


def test_the_same_code_makes_the_same_wheel(tmp_path: Path) -> None:
    """Nobody needs to wonder whether two hosts have the same."""
    (tmp_path / "two").mkdir()
    first, second = parcel.wheel(tmp_path), parcel.wheel(tmp_path / "two")
    assert first.path.read_bytes() == second.path.read_bytes()


def test_no_index_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip's own words, without its thirty lines."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(CannotInstall, match="pip says: ERROR") as raised:
        wheels.fetch(facts(libc="musl"), ["huey>=3.5"], tmp_path)
    assert "musl" in raised.value.message and "\n" not in raised.value.message


def test_no_room_is_found_out_at_once(tmp_path: Path) -> None:
    """A quota is not seen in the free space: the room is asked for before anything is carried."""
    with pytest.raises(place.Trouble, match="no room"):
        fill.reserve(tmp_path, 1 << 60)
    assert list(tmp_path.iterdir()) == []


def test_an_environment_without_venv(tmp_path: Path) -> None:
    """Python takes it for a virtual environment: it sees its own packages and nobody else's."""
    env = tmp_path / "env"
    env.mkdir()
    fill.make_environment(env)
    look = (
        "import sys, sysconfig;"
        "print(sys.prefix, sys.base_prefix != sys.prefix, sysconfig.get_path('purelib'))"
    )
    said = subprocess.check_output([env / "bin" / "python", "-I", "-c", look], text=True).split()
    assert said[:2] == [str(env), "True"]
    assert said[2].startswith(str(env)) and Path(said[2]).is_dir()


def test_undoing_gives_the_old_one_back(tmp_path: Path) -> None:
    """Failing at the very last moment, the links name again what they named before."""
    at = place.Place(tmp_path)
    made: list[Path] = []
    for folder in (at.versions / "old", at.versions / "new", at.link.parent):
        place.make_folders(folder, made)
    place.switch(at, "old")
    before = {link: link.readlink() for link in (at.current, at.link)}
    place.switch(at, "new")
    place.undo(at, "new", dict(before), [])
    assert {link: link.readlink() for link in before} == before
    assert [path.name for path in at.versions.iterdir()] == ["old"]


def test_only_one_at_a_time(tmp_path: Path) -> None:
    """Another run's unfinished environment is not a leftover."""
    at = place.Place(tmp_path)
    at.versions.mkdir(parents=True)
    with place.locked(at), pytest.raises(place.Trouble, match="another installation"):
        with place.locked(at):
            raise AssertionError("two had the lock")


def looked(home: Path) -> Facts:
    """What the program finds, run as on a far host: by a Python that has no packages."""
    request = {"do": "look", "tidy": True, "key": "", "token": "t0"}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _LOADER],
        input=there.program() + json.dumps(request).encode() + b"\n",
        capture_output=True,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        cwd="/",
    )
    (line,) = (line for line in done.stdout.splitlines() if line.startswith(b"t0 "))
    return msgspec.convert(json.loads(line[3:])["answer"], Facts)


def test_the_program_needs_nothing_of_ours(tmp_path: Path) -> None:
    """It runs where spool is not: an import of ours would be found out on somebody's host."""
    found = looked(tmp_path)
    assert found.version == sys.version_info[:2]
    assert (found.home, found.spool_host, found.spools) == (str(tmp_path), "", {})
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_taken_away(tmp_path: Path) -> None:
    """Also where the next one finds that it cannot install: the leftovers may be why there is no room."""
    at = place.Place(tmp_path)
    made: list[Path] = []
    place.make_folders(at.versions, made)
    place.make_folders(at.link.parent, made)
    (at.versions / "1.0-abc" / "wheels").mkdir(parents=True)
    (at.versions / f"1.0-abc{place.MARK}").write_text(json.dumps([str(folder) for folder in made]))
    looked(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_is_there_is_seen(tmp_path: Path) -> None:
    """Its name and agents stay; a config that cannot be read is none."""
    (tmp_path / ".spool").mkdir()
    config = tmp_path / ".spool" / "spool.toml"
    config.write_text('[host]\nname = "stack"\nagents = ["a"]\n\n[peers.laptop]\nagents = ["b"]\n')
    found = looked(tmp_path)
    assert (found.spool_host, found.spool_agents, found.spool_peers) == ("stack", ["a"], {"laptop": ["b"]})
