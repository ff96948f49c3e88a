"""The promise of `Files`, sentence by sentence, over each way to a peer's folders."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from pathlib import Path

import pytest

from spool.errors import FileTrouble, FolderMissing, LinkError
from spool.transports import scp
from spool.transports.base import Entry, Failure, Files
from tests.folders import Reach

ODD = bytes(range(256)) + b"\r\n\n\0" + b"end\n"


def reason(found: object) -> str:
    """Why it failed; it must have."""
    assert isinstance(found, Failure), found
    assert not found.unknown
    return found.reason


def test_a_new_folder_is_empty(reach: Reach, files: Files) -> None:
    """Neither `.` nor `..` is a name in it."""
    assert files.entries(str(reach.folder)) == []


def test_a_listing_tells_hidden_names_kinds_sizes_and_times(reach: Reach, files: Files) -> None:
    """What is half written hides behind a dot, and the sweep must see it."""
    (reach.folder / ".hidden").write_bytes(b"12345")
    os.utime(reach.folder / ".hidden", (1_000_000_000, 1_000_000_001))
    (reach.folder / "folder").mkdir()
    (reach.folder / "link").symlink_to("folder")
    os.mkfifo(reach.folder / "pipe")

    found = {entry.name: entry for entry in files.entries(str(reach.folder))}

    assert {name: entry.kind for name, entry in found.items()} == {
        ".hidden": "file",
        "folder": "folder",
        "link": "link",
        "pipe": "other",
    }
    assert found[".hidden"] == Entry(".hidden", "file", 5, 1_000_000_001.0)


@pytest.mark.parametrize("what", ["nothing", "a file", "a link"])
def test_what_is_no_folder_cannot_be_listed(what: str, reach: Reach, files: Files) -> None:
    """An inbox that somebody replaced by a link would send our mail elsewhere."""
    target = reach.folder / "target"
    if what == "a file":
        target.touch()
    elif what == "a link":
        target.symlink_to(reach.folder)

    with pytest.raises(FolderMissing) as caught:
        files.entries(str(target))

    assert str(target) in caught.value.message and "spool.toml" in caught.value.hint


def test_a_look_answers_in_the_order_asked(reach: Reach, files: Files) -> None:
    """None for nothing, also where the folder itself is missing."""
    (reach.folder / "file").write_bytes(b"123")
    (reach.folder / "link").symlink_to("nowhere")
    wanted = ["nothing", "link", "file", "gone/file"]

    nothing, link, file, beyond = files.look([reach.at(name) for name in wanted])

    assert nothing is None and beyond is None
    assert isinstance(link, Entry) and (link.name, link.kind) == ("link", "link")
    assert isinstance(file, Entry) and (file.name, file.kind, file.size) == ("file", "file", 3)
    assert abs(file.mtime - time.time()) < 60


def test_fetching_gives_the_bytes(reach: Reach, files: Files) -> None:
    """Every byte as it is, the empty file too, and None for what is not there."""
    (reach.folder / "odd").write_bytes(ODD)
    (reach.folder / "empty").touch()
    (reach.folder / "long").write_bytes(ODD * 1000)
    wanted = [reach.at(name) for name in ("odd", "nothing", "empty", "long", "no/folder")]

    assert files.fetch(wanted, max_bytes=10_000_000) == [ODD, None, b"", ODD * 1000, None]


def test_fetching_stops_at_the_limit(reach: Reach, files: Files) -> None:
    """A limit in the middle of a piece, at its end, and beyond the file."""
    (reach.folder / "file").write_bytes(ODD * 300)

    for limit in (0, 1, 32_768, 32_769, 65_536):
        assert files.fetch([reach.at("file")], max_bytes=limit) == [(ODD * 300)[:limit]]


@pytest.mark.parametrize("what", ["folder", "link", "other"])
def test_only_a_regular_file_is_fetched(what: str, reach: Reach, files: Files) -> None:
    """A pipe must not hold us, and a link leads anywhere."""
    target = reach.folder / "target"
    if what == "folder":
        target.mkdir()
    elif what == "link":
        (reach.folder / "file").write_bytes(b"secret")
        target.symlink_to("file")
    else:
        os.mkfifo(target)

    [failed] = files.fetch([str(target)], max_bytes=100)

    assert what in reason(failed) and str(target) in reason(failed)


def test_what_is_put_is_there_whole(reach: Reach, files: Files) -> None:
    """And nothing else is left in the folder."""
    wanted = {"one": b"1", "empty": b"", "odd": ODD, "long": os.urandom(300_000)}

    assert files.put([(reach.at(name), data) for name, data in wanted.items()]) == [None] * 4

    assert {name: (reach.folder / name).read_bytes() for name in reach.names()} == wanted


def test_more_than_go_at_once_are_put_moved_fetched_and_removed(
    reach: Reach, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than the server may have open, and more than one run of a script takes."""
    monkeypatch.setattr(scp, "BATCH", 15)
    count = 40 if reach.kind.startswith("scp") else 600
    wanted = {reach.at(f".{n}"): b"%d" % n * n for n in range(count)}
    moved = [path.replace("/.", "/m") for path in wanted]

    assert files.put(list(wanted.items())) == [None] * count
    assert files.move(list(zip(wanted, moved, strict=True))) == [True] * count
    assert len(files.entries(str(reach.folder))) == count
    sizes = [entry.size for entry in files.look(moved) if isinstance(entry, Entry)]
    assert sizes == [len(data) for data in wanted.values()]
    assert files.fetch(moved, max_bytes=10_000) == list(wanted.values())
    assert files.remove(moved) == [True] * count
    assert reach.names() == []


@pytest.mark.parametrize("mode", ["0600", "0640", "0444"])
def test_a_new_file_has_the_mode_of_the_config(mode: str, reach: Reach) -> None:
    """Another user may be the one who reads it, whatever the umask says."""
    files = reach.open(mode=mode)

    assert files.put([(reach.at("file"), b"x")]) == [None]

    assert (reach.folder / "file").stat().st_mode & 0o777 == int(mode, 8)


@pytest.mark.parametrize("what", ["a file", "a link to nothing", "a folder"])
def test_nothing_is_put_over_what_is_there(what: str, reach: Reach, files: Files) -> None:
    """Also not through a link."""
    target = reach.folder / "target"
    if what == "a file":
        target.write_bytes(b"first")
    elif what == "a link to nothing":
        target.symlink_to(reach.folder / "elsewhere")
    else:
        target.mkdir()

    failed, done = files.put([(str(target), b"second"), (reach.at("other"), b"x")])

    assert str(target) in reason(failed) and done is None
    assert reach.names() == ["other", "target"]
    assert what != "a file" or target.read_bytes() == b"first"


def test_putting_into_a_folder_that_is_missing_fails(reach: Reach, files: Files) -> None:
    """With the path in the reason."""
    [failed] = files.put([(reach.at("gone/file"), b"x")])

    assert reach.at("gone/file") in reason(failed)


def test_a_folder_that_became_a_link_is_not_entered(reach: Reach, files: Files) -> None:
    """Whoever replaced it does not get our mail, nor has us read or remove elsewhere."""
    (reach.folder / "file").write_bytes(b"x")
    moved = reach.folder.with_name("elsewhere")
    reach.folder.rename(moved)
    reach.folder.symlink_to(moved)
    path = reach.at("file")

    assert "link" in reason(files.put([(reach.at("new"), b"x")])[0])
    assert "link" in reason(files.fetch([path], max_bytes=10)[0])
    assert "link" in reason(files.move([(path, reach.at("new"))])[0])
    assert "link" in reason(files.remove([path])[0])
    with pytest.raises(FileTrouble, match="link"):
        files.write(path, 0, b"y")
    assert os.listdir(moved) == ["file"] and (moved / "file").read_bytes() == b"x"


def test_a_move_gives_the_new_name(reach: Reach, files: Files) -> None:
    """Within a folder and into another one."""
    (reach.folder / "taken").mkdir()
    (reach.folder / "one").write_bytes(b"1")
    (reach.folder / "two").write_bytes(b"2")

    assert files.move([(reach.at("one"), reach.at("uno")), (reach.at("two"), reach.at("taken/two"))]) == [
        True,
        True,
    ]

    assert (reach.folder / "uno").read_bytes() == b"1"
    assert (reach.folder / "taken" / "two").read_bytes() == b"2"
    assert reach.names() == ["taken", "uno"]


@pytest.mark.parametrize("what", ["other content", "the same content", "a folder", "a link to nothing"])
def test_a_move_never_goes_over_what_is_there(what: str, reach: Reach, files: Files) -> None:
    """Both stay as they were, and nothing ends up inside a folder of that name."""
    (reach.folder / "old").write_bytes(b"mine")
    target = reach.folder / "target"
    if what == "a folder":
        target.mkdir()
    elif what == "a link to nothing":
        target.symlink_to("nowhere")
    else:
        target.write_bytes(b"mine" if what == "the same content" else b"theirs")

    assert files.move([(reach.at("old"), str(target))]) == [False]

    assert (reach.folder / "old").read_bytes() == b"mine"
    assert what != "other content" or target.read_bytes() == b"theirs"
    assert what != "a folder" or os.listdir(target) == []


def test_a_move_that_was_done_before_fails(reach: Reach, files: Files) -> None:
    """Its source is gone, which is no word about the target."""
    (reach.folder / "old").write_bytes(b"x")
    pair = (reach.at("old"), reach.at("new"))

    assert files.move([pair]) == [True]
    assert reach.at("old") in reason(files.move([pair])[0])


def test_a_move_into_a_missing_folder_fails(reach: Reach, files: Files) -> None:
    """And the file stays where it was."""
    (reach.folder / "old").write_bytes(b"x")

    assert reason(files.move([(reach.at("old"), reach.at("gone/new"))])[0])
    assert reach.names() == ["old"]


def test_removing_says_whether_it_was_there(reach: Reach, files: Files) -> None:
    """So that whoever removes twice knows."""
    (reach.folder / "file").touch()

    assert files.remove([reach.at("file"), reach.at("file"), reach.at("no/folder")]) == [True, False, False]


def test_a_folder_is_not_removed_and_a_link_is_only_itself(reach: Reach, files: Files) -> None:
    """What it points to is somebody's."""
    (reach.folder / "folder").mkdir()
    (reach.folder / "folder" / "file").touch()
    (reach.folder / "link").symlink_to("folder")

    failed, link = files.remove([reach.at("folder"), reach.at("link")])

    assert reason(failed) and link is True
    assert (reach.folder / "folder" / "file").exists() and reach.names() == ["folder"]


def test_a_folder_can_be_synced(reach: Reach, files: Files) -> None:
    """And one that is missing is named."""
    files.sync(str(reach.folder))

    with pytest.raises(FolderMissing, match="gone"):
        files.sync(reach.at("gone"))


def test_a_folder_is_made_with_those_above_it(reach: Reach, files: Files) -> None:
    """For its owner alone; one that is there keeps its mode."""
    reach.folder.chmod(0o755)

    files.make(reach.at("a/b/c"))
    files.make(reach.at("a/b/c"))
    files.make(str(reach.folder))

    assert {(reach.folder / name).stat().st_mode & 0o777 for name in ("a", "a/b", "a/b/c")} == {0o700}
    assert reach.folder.stat().st_mode & 0o777 == 0o755


def test_no_folder_is_made_where_a_file_stands(reach: Reach, files: Files) -> None:
    """The file stays."""
    (reach.folder / "file").write_bytes(b"x")

    for path in ("file", "file/folder"):
        with pytest.raises(FolderMissing, match="file"):
            files.make(reach.at(path))
    assert (reach.folder / "file").read_bytes() == b"x"


def test_a_file_grows_piece_by_piece(reach: Reach, files: Files) -> None:
    """As an attachment does; what was before the offset stays."""
    first, second = os.urandom(100_000), os.urandom(70_000)

    files.write(reach.at("part"), 0, first)
    files.write(reach.at("part"), 90_000, second)
    files.seal(reach.at("part"))

    assert (reach.folder / "part").read_bytes() == first[:90_000] + second
    assert reach.names() == ["part"]
    assert files.read(reach.at("part"), 99_990, 20) == (first[:90_000] + second)[99_990:100_010]
    assert files.read(reach.at("part"), 159_990, 20) == second[-10:]
    assert files.read(reach.at("part"), 500_000, 20) == b""


@pytest.mark.parametrize("what", ["folder", "link", "pipe"])
def test_what_is_no_file_is_neither_read_nor_written(what: str, reach: Reach, files: Files) -> None:
    """Nothing blocks, and no link is followed."""
    target = reach.folder / "target"
    if what == "folder":
        target.mkdir()
    elif what == "link":
        (reach.folder / "file").write_bytes(b"x")
        target.symlink_to("file")
    else:
        os.mkfifo(target)

    for call in (
        lambda: files.read(str(target), 0, 10),
        lambda: files.seal(str(target)),
        lambda: files.write(str(target), 0, b"y"),
    ):
        with pytest.raises(FileTrouble, match="target"):
            call()
    assert what != "link" or (reach.folder / "file").read_bytes() == b"x"


def test_what_is_not_there_is_neither_read_nor_sealed(reach: Reach, files: Files) -> None:
    """An attachment whose file went away begins anew; that is for the caller to decide."""
    for call in (lambda: files.read(reach.at("target"), 0, 10), lambda: files.seal(reach.at("target"))):
        with pytest.raises(FileTrouble, match="target"):
            call()
    assert reach.names() == []


def test_the_machine_tells_when_it_started_anew(files: Files) -> None:
    """A folder in memory is empty after that, and nobody took what was in it."""
    here = Path("/proc/sys/kernel/random/boot_id")

    assert files.boot() == (here.read_text().strip() if here.exists() else "")


def test_nothing_asked_is_nothing_done(files: Files) -> None:
    """Callers need not look whether they have something to ask."""
    assert files.look([]) == files.fetch([], max_bytes=1) == files.put([]) == files.move([]) == []
    assert files.remove([]) == []


def test_it_syncs_what_it_puts(files: Files) -> None:
    """Every one of these hosts can."""
    assert files.durable is True


def test_after_its_end_it_refuses(reach: Reach, files: Files) -> None:
    """It may be ended twice; what is asked then is an error, not an empty answer."""
    files.close()
    files.close()

    for call in (
        lambda: files.look([reach.at("x")]),
        lambda: files.put([(reach.at("x"), b"")]),
        lambda: files.entries(str(reach.folder)),
    ):
        with pytest.raises(LinkError, match="closed on this side"):
            call()


def test_a_path_may_begin_in_the_far_home(reach: Reach, files: Files) -> None:
    """As the folders of the scripts do: ~/claude-inbox."""
    name = f".spool-test-{secrets.token_hex(8)}"
    try:
        files.make(f"~/{name}/in box")
        assert files.put([(f"~/{name}/in box/a", b"x")]) == [None]
        assert files.move([(f"~/{name}/in box/a", f"~/{name}/in box/b")]) == [True]
        assert [entry.name for entry in files.entries(f"~/{name}/in box")] == ["b"]
        assert (Path.home() / name / "in box" / "b").read_bytes() == b"x"
    finally:
        shutil.rmtree(Path.home() / name, ignore_errors=True)
