"""Waiters beside a session: the newest counts, and the killed leave nothing for long."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from spool import waiters
from spool.waiters import Waiter
from tests.hosts import ENV


def test_the_newest_counts(tmp_path: Path) -> None:
    """It was started when the session last began to idle; the others belong to turns that are past."""
    with Waiter(tmp_path, "s1") as old:
        assert old.is_newest()
        with Waiter(tmp_path, "s1") as new, Waiter(tmp_path, "s2/../\n") as other:
            assert (old.is_newest(), new.is_newest(), other.is_newest()) == (False, True, True)
        assert not old.is_newest()
    assert list(tmp_path.iterdir()) == []


def test_an_old_one_takes_nothing_from_the_new(tmp_path: Path) -> None:
    """It ends after the new one has begun."""
    old = Waiter(tmp_path, "s1")
    with Waiter(tmp_path, "s1") as new:
        old.close()
        waiters.clear(tmp_path)
        assert new.is_newest() and len(list(tmp_path.iterdir())) == 1


def test_what_a_killed_one_left_is_cleared(tmp_path: Path) -> None:
    """The kernel unlocks what it held; what lives is let be."""
    code = (
        "import os, pathlib, sys; from spool.waiters import Waiter\n"
        "Waiter(pathlib.Path(sys.argv[1]), 's1'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=ENV, check=False)
    assert len(list(tmp_path.iterdir())) == 1
    with Waiter(tmp_path, "s2"):
        waiters.clear(tmp_path)
        assert len(list(tmp_path.iterdir())) == 1
    waiters.clear(tmp_path / "nowhere")


def test_one_that_comes_as_the_last_goes_has_its_own_file(tmp_path: Path) -> None:
    """A file without a name would be nobody's: the next one would not be seen by it."""
    first = Waiter(tmp_path, "s1")
    (path,) = tmp_path.iterdir()
    held = os.open(path, os.O_RDWR)
    first.close()
    with Waiter(tmp_path, "s1") as second:
        assert not os.path.samestat(os.fstat(held), path.stat()) and second.is_newest()
    os.close(held)
