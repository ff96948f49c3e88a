"""Publishing and taking by the rules, over every way to a peer's folders, with what goes wrong there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from spool.transports.base import Deferred, Failure, Files, Left
from spool.transports.publish import ABANDONED_S, Draft, Publisher, holds
from tests.folders import Reach

BODY = b'{"from":"a","to":"b","subject":"x"}'


class Faulty:
    """Files of which one method does something else once; the rest is passed on."""

    def __init__(self, files: Files, **instead: object) -> None:
        self._files = files
        self._instead = instead

    def __getattr__(self, name: str) -> object:
        if name in self._instead:
            instead = self._instead.pop(name)
            return lambda *args, **more: instead(getattr(self._files, name), *args, **more)  # type: ignore[operator]
        return getattr(self._files, name)


def publisher(reach: Reach, files: object) -> Publisher:
    """A publisher into the folder, with the witness where there is one."""
    folder = str(reach.folder)
    return Publisher(files, folder, reach.open().witness(folder))  # type: ignore[arg-type]  # Faulty passes on


def draft(name: str = "m1.json", raw: bytes = BODY, *, again: bool = False) -> Draft:
    """A file to publish."""
    return Draft(name, raw, again)


def visible(reach: Reach) -> dict[str, bytes]:
    """What a script's `*.json` finds, by name."""
    return {path.name: path.read_bytes() for path in reach.folder.glob("[!.]*.json")}


def hidden(reach: Reach) -> list[str]:
    """What lies there besides, witnesses of published files left out."""
    return [name for name in reach.names() if name.startswith(".") and holds(name) is None]


def test_many_files_are_published_whole_and_nothing_else_is_left(reach: Reach, files: Files) -> None:
    """In one go, each under its own name."""
    drafts = [draft(f"m{n}.json", BODY + b" " * n) for n in range(300)]
    assert publisher(reach, files).publish(drafts, now=5.0) == [Left(5.0)] * 300
    assert visible(reach) == {each.name: each.raw for each in drafts}
    assert hidden(reach) == []


def test_what_stands_there_is_never_written_over(reach: Reach, files: Files) -> None:
    """Somebody else's file of that name stays; ours waits, and the others go."""
    (reach.folder / "m1.json").write_bytes(b"theirs")
    outcomes = publisher(reach, files).publish([draft("m1.json"), draft("m2.json")], now=5.0)
    assert isinstance(outcomes[0], Deferred) and "another file has that name" in outcomes[0].reason
    assert outcomes[1] == Left(5.0)
    assert visible(reach) == {"m1.json": b"theirs", "m2.json": BODY}
    assert [name for name in reach.names() if "m1" in name] == ["m1.json"]


@pytest.mark.parametrize("where", [".", "processed"])
def test_an_earlier_try_that_was_done_is_not_done_again(reach: Reach, files: Files, where: str) -> None:
    """Also where its reader has taken it meanwhile."""
    (reach.folder / where).mkdir(exist_ok=True)
    (reach.folder / where / "m1.json").write_bytes(BODY)
    assert publisher(reach, files).publish([draft(again=True)], now=5.0) == [Left(5.0)]
    assert list(visible(reach)) == (["m1.json"] if where == "." else [])


def test_a_rename_whose_status_is_lost_is_looked_for(reach: Reach, files: Files) -> None:
    """It was done: so it is left, and not deferred."""
    if files.witness(str(reach.folder)) is not None:
        pytest.skip("a local folder does not lose a status")

    def lost(move: object, pairs: Sequence[tuple[str, str]]) -> list[Failure]:
        move(pairs)  # type: ignore[operator]
        return [Failure("no word of it", unknown=True)] * len(pairs)

    assert publisher(reach, Faulty(files, move=lost)).publish([draft()], now=5.0) == [Left(5.0)]
    assert visible(reach) == {"m1.json": BODY}
    assert hidden(reach) == []


def test_what_could_not_be_put_is_deferred_and_the_others_go(reach: Reach, files: Files) -> None:
    """One bad name is nobody else's affair."""
    outcomes = publisher(reach, files).publish([draft("x" * 300 + ".json"), draft("m2.json")], now=5.0)
    assert isinstance(outcomes[0], Deferred)
    assert outcomes[1] == Left(5.0)
    assert visible(reach) == {"m2.json": BODY}
    assert hidden(reach) == []


def test_what_broken_tries_left_goes_after_a_day_and_a_half(reach: Reach, files: Files) -> None:
    """And not before: another host may be at it. Other people's hidden files are theirs."""
    part, other = reach.folder / f".m1.json.{'0' * 16}.part", reach.folder / ".bashrc"
    for path in (part, other):
        path.write_bytes(b"half")
    written = part.stat().st_mtime
    assert publisher(reach, files).sweep(now=written + ABANDONED_S - 60) == 0
    assert publisher(reach, files).sweep(now=written + ABANDONED_S + 60) == 1
    assert reach.names() == [".bashrc"]


def test_a_folder_that_is_gone_is_said_so(reach: Reach, files: Files, tmp_path: Path) -> None:
    """Each message waits with a reason that names the path."""
    reach.folder.rmdir()
    (outcome,) = Publisher(files, str(reach.folder)).publish([draft()], now=5.0)
    assert isinstance(outcome, Deferred) and str(reach.folder) in outcome.reason
