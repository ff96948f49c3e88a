"""The breaks that the tests are held against still fit, and the cheapest of them are found."""

from __future__ import annotations

import pytest

from tests.breaks.base import MACHINE, Edit
from tests.breaks.catalogue import BREAKS
from tests.breaks.catching import catch
from tests.breaks.tree import ROOT, NoLongerFits, broken, broken_copy

CHEAP = {
    "late-reader-settles": "tests/contract/test_store_inbox.py",
    "states-go-back": "tests/contract/test_store_outbox.py",
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_still_fits(name: str) -> None:
    """A break whose text is no longer there breaks nothing, and would be taken for one that nobody finds."""
    texts = broken(ROOT, BREAKS[name].edits)

    assert all(text != (ROOT / file).read_text("utf-8") for file, text in texts.items())


@pytest.mark.parametrize("name", BREAKS)
def test_who_must_find_a_break_is_there(name: str) -> None:
    """A test that was renamed would find nothing."""
    named = [what for what in BREAKS[name].caught_by if what != MACHINE]

    assert BREAKS[name].caught_by
    assert [what for what in named if not (ROOT / what.partition("::")[0]).exists()] == []


@pytest.mark.parametrize("old", ["no such text", "from"])
def test_a_text_that_is_not_there_once_is_refused(old: str) -> None:
    """Somebody changed that place since, and must look at the break."""
    with pytest.raises(NoLongerFits, match="times"):
        broken(ROOT, [Edit("spool/inbox.py", old, "")])


@pytest.mark.parametrize("name", CHEAP)
def test_a_break_is_found(name: str) -> None:
    """All of them take long: `python -m tests.breaks`. That the way works at all is seen here."""
    with broken_copy(BREAKS[name]) as root:
        found = catch(root, CHEAP[name])

    assert found.by is not None, found.trouble
    assert found.by.startswith(CHEAP[name])


def test_a_test_that_cannot_run_finds_nothing() -> None:
    """A tree that is broken in another way than was meant must not count."""
    edits = (Edit("spool/inbox.py", "class Taken(NamedTuple):", "class Taken(NoSuchThing):"),)
    with broken_copy(BREAKS["late-reader-settles"]._replace(edits=edits)) as root:
        found = catch(root, "tests/unit/test_sweep.py")

    assert found.by is None
    assert "NoSuchThing" in found.trouble
