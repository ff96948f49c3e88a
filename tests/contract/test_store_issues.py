"""Where messages stand on GitHub: what every store keeps of it."""

from __future__ import annotations

from spool.store.base import IssueAcks, IssueSpot, Store

PLACE = "api.github.com/octocat/hello"
ELSEWHERE = "api.github.com/octocat/other"


def spot(id: str = "m1", number: int | None = 12, comment: int = 0, *, at: float = 5.0) -> IssueSpot:
    """Where a message stands."""
    return IssueSpot("me", id, True, number, comment, at)


def test_an_intent_becomes_a_spot(store: Store) -> None:
    """Without a number it may stand there; with one it does."""
    with store.write(sync=True) as tx:
        tx.issues.put(PLACE, spot(number=None))
    with store.read() as tx:
        assert tx.issues.find(PLACE, "me", "m1") == spot(number=None)
        assert tx.issues.named(PLACE, "m1") is None, "nobody can answer there yet"
    with store.write(sync=True) as tx:
        tx.issues.put(PLACE, spot(comment=7))
    with store.read() as tx:
        assert tx.issues.find(PLACE, "me", "m1") == spot(comment=7)
        assert tx.issues.named(PLACE, "m1") == spot(comment=7)


def test_a_spot_is_of_one_repository(store: Store) -> None:
    """Each has an issue 12."""
    with store.write(sync=True) as tx:
        tx.issues.put(PLACE, spot())
        tx.issues.put(ELSEWHERE, spot("m2"))
    with store.read() as tx:
        assert tx.issues.at(PLACE, 12) == spot()
        assert tx.issues.at(ELSEWHERE, 12) == spot("m2")
        assert tx.issues.at(PLACE, 12, 7) is None
        assert tx.issues.find(ELSEWHERE, "me", "m1") is None


def test_what_was_not_posted_is_dropped(store: Store) -> None:
    """And can be tried anew; what is not there is no error."""
    with store.write(sync=True) as tx:
        tx.issues.put(PLACE, spot(number=None))
        tx.issues.drop(PLACE, "me", "m1")
        tx.issues.drop(PLACE, "me", "m1")
        assert tx.issues.find(PLACE, "me", "m1") is None


def test_a_text_is_known_by_its_digest(store: Store) -> None:
    """The last one read at its spot."""
    with store.write(sync=True) as tx:
        assert tx.issues.text(PLACE, "12") is None
        tx.issues.set_text(PLACE, "12", b"a" * 32, now=1.0)
        tx.issues.set_text(PLACE, "12", b"b" * 32, now=2.0)
        tx.issues.set_text(ELSEWHERE, "12", b"c" * 32, now=2.0)
    with store.read() as tx:
        assert tx.issues.text(PLACE, "12") == b"b" * 32


def test_the_comment_of_acks_is_one_for_an_issue(store: Store) -> None:
    """What it says, and where it stands once it was made."""
    with store.write(sync=True) as tx:
        assert tx.issues.told(PLACE, 12) is None
        tx.issues.tell(PLACE, IssueAcks(12, None, "[]", 1.0))
        tx.issues.tell(PLACE, IssueAcks(12, 7, '["x"]', 2.0))
    with store.read() as tx:
        assert tx.issues.told(PLACE, 12) == IssueAcks(12, 7, '["x"]', 2.0)


def test_what_is_long_past_is_forgotten(store: Store) -> None:
    """Of one repository, and only what was not touched since."""
    with store.write(sync=True) as tx:
        for place in (PLACE, ELSEWHERE):
            tx.issues.put(place, spot("old", 1, at=1.0))
            tx.issues.put(place, spot("new", 2, at=9.0))
            tx.issues.set_text(place, "1", b"a" * 32, now=1.0)
            tx.issues.tell(place, IssueAcks(1, 7, "[]", 1.0))
        tx.issues.forget(PLACE, before=5.0)
    with store.read() as tx:
        assert tx.issues.find(PLACE, "me", "old") is None
        assert tx.issues.text(PLACE, "1") is None
        assert tx.issues.told(PLACE, 1) is None
        assert tx.issues.find(PLACE, "me", "new") == spot("new", 2, at=9.0)
        assert tx.issues.find(ELSEWHERE, "me", "old") == spot("old", 1, at=1.0)
