"""Names are chosen by others, and may hold whatever a file system takes."""

from __future__ import annotations

import os

import pytest

from spool.transports.base import Entry, Failure, Files
from tests.folders import Reach

HOSTILE = {
    "line end": "a\nb.json",
    "an option": "-rf",
    "no UTF-8": os.fsdecode(b"\xff\xfe\x80.json"),
    "UTF-8": "Grüße 漢字 🎉.json",
    "longest": "x" * 255,
    "shell": "$(touch pwned) `id` ; rm -rf * & | < > ' \" !! # ~",
    "patterns": "[a-z]*?{1,2}",
    "backslashes": "\\0141\\n\\\\%s%b%%",
    "plus": "+\\0057",
    "blank ends": " a \t",
    "right to left": "\u202egnp.json",
    "control": "\x1b[31m\x07\r\x7f",
    "an answer": "end\nok",
    "dots": "...",
}
NO_NAMES = ["", ".", "..", "a\0b"]


@pytest.mark.parametrize("what", HOSTILE)
def test_any_name_goes_all_the_way(what: str, reach: Reach, files: Files) -> None:
    """Put, listed, looked at, fetched, moved and removed, and nothing else happens."""
    name = HOSTILE[what]
    path, other = reach.at(name), reach.at("other " + name[:200])

    assert files.put([(path, name.encode("utf-8", "surrogateescape"))]) == [None]
    assert [entry.name for entry in files.entries(str(reach.folder))] == [name]
    assert reach.names() == [name]
    [found] = files.look([path])
    assert isinstance(found, Entry) and found.name == name
    assert files.fetch([path], max_bytes=1000) == [name.encode("utf-8", "surrogateescape")]
    assert files.move([(path, other)]) == [True]
    assert files.remove([path, other]) == [False, True]
    assert reach.names() == []


def test_an_error_shows_a_name_on_one_line_without_its_control_characters(reach: Reach, files: Files) -> None:
    """It ends in a log and on a terminal."""
    for name in HOSTILE.values():
        (reach.folder / name).mkdir()
    wanted = [reach.at(name) for name in HOSTILE.values()]

    for results in (files.fetch(wanted, max_bytes=1), files.put([(path, b"x") for path in wanted])):
        for failed in results:
            assert isinstance(failed, Failure) and failed.reason.isprintable()


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_is_no_name_in_a_folder_is_refused(name: str, reach: Reach, files: Files) -> None:
    """The others asked for with it are done."""
    bad, good = reach.at(name), reach.at("good")

    assert [type(found) for found in files.put([(bad, b"x"), (good, b"x")])] == [Failure, type(None)]
    assert [type(found) for found in files.look([bad, good])] == [Failure, Entry]
    assert isinstance(files.fetch([bad], max_bytes=9)[0], Failure)
    assert isinstance(files.move([(good, bad)])[0], Failure)
    assert isinstance(files.remove([bad])[0], Failure)
    assert reach.names() == ["good"]


def test_a_name_that_is_too_long_fails_alone(reach: Reach, files: Files) -> None:
    """256 bytes are more than file systems take."""
    long = reach.at("x" * 256)

    failed, done = files.put([(long, b"x"), (reach.at("good"), b"y")])

    assert isinstance(failed, Failure) and done is None
    assert isinstance(files.move([(reach.at("good"), long)])[0], Failure)
    assert reach.names() == ["good"]
