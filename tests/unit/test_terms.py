"""What a person types into a search, and the piece of text that is shown for it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from spool.errors import BadInput
from spool.excerpt import WIDTH, excerpt
from spool.store.base import Asked
from spool.store.sqlite import SqliteStore, create
from spool.terms import MAX_TERMS, Term, parse
from tests.rows import new_outgoing

NUMBERS = itertools.count()


@pytest.mark.parametrize(
    ("typed", "terms"),
    [
        ("red lamp", [Term("red"), Term("lamp")]),
        ('"red lamp"', [Term("red lamp")]),
        ('"red lamp" on', [Term("red lamp"), Term("on")]),
        ('say"red lamp"now', [Term("say"), Term("red lamp"), Term("now")]),
        ('"red lamp', [Term("red lamp")]),
        ("flick*", [Term("flick", True)]),
        ('"red flick"*', [Term("red flick", True)]),
        ("a*b", [Term("a*b")]),
        ("--from OR NEAR(x)", [Term("--from"), Term("OR"), Term("NEAR(x)")]),
        ("lamp -- * ☃", [Term("lamp")]),
        ("東*", [Term("東", True)]),
    ],
)
def test_a_search_is_words_phrases_and_beginnings(typed: str, terms: list[Term]) -> None:
    """And nothing else: no word is an operator, no sign has a meaning."""
    assert list(parse(typed)) == terms


@pytest.mark.parametrize("typed", ["", "  ", '""', "***", "-- !", '"'])
def test_no_word_is_no_search(typed: str) -> None:
    """Better said than everything, or nothing, found."""
    with pytest.raises(BadInput, match="no word to search for"):
        parse(typed)


@pytest.mark.parametrize("typed", ["a*", "ab*", '"lamp a"*', "red-a*"])
def test_a_beginning_has_three_letters(typed: str) -> None:
    """A shorter one fits thousands of words, and the search would take seconds."""
    with pytest.raises(BadInput, match="too short a beginning; give 3 letters or more"):
        parse(typed)


def test_a_search_has_a_bounded_number_of_words() -> None:
    """Each one costs."""
    assert len(parse("word " * MAX_TERMS)) == MAX_TERMS
    with pytest.raises(BadInput, match="33 words to search for, 32 at most"):
        parse("word " * (MAX_TERMS + 1))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    """One live message and one that is archived."""
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    create(home)
    made = SqliteStore(home)
    with made.write(sync=False) as tx:
        seq = tx.outbox.put(new_outgoing("past", raw=b'{"body":"red lamp"}'))
        tx.outbox.bury(seq, now=1.0, reason="why")
        tx.sweepings.archive(before=2.0, stale_before=0.0, limit=9)
        tx.outbox.put(new_outgoing("live", raw='{"body":"réd lamp"}'.encode()))
    yield made
    made.close()


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=40), st.one_of(st.none(), st.text(max_size=10)))
@example('"a" OR "b" NOT (c) {body} : ^x + y', 'x" : y')
@example("body:lamp \x00 a\x00b", "\x00")
@example("\U000e0100 \U0001f9ff 𞤀 \u0301", None)
def test_nothing_that_is_typed_breaks_a_search(store: SqliteStore, typed: str, sender: str | None) -> None:
    """It finds something or nothing, or is refused in words: never an error of the database."""
    try:
        terms = parse(typed)
    except BadInput:
        return
    with store.read() as tx:
        tx.history.search(Asked(terms, sender=sender), limit=3)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=30), st.data())
@example("tab\there é\u212a", None)
def test_live_and_archived_texts_are_found_alike(
    store: SqliteStore, text: str, data: st.DataObject | None
) -> None:
    """A live row is left out by a quick look at its bytes: never one that would be found later."""
    part = text if data is None else text[data.draw(st.integers(0, len(text) - 1)) :]
    try:
        terms = parse(part)
    except BadInput:
        return
    id = f"m{next(NUMBERS)}"
    with store.write(sync=False) as tx:
        seq = tx.outbox.put(new_outgoing(id, queued_at=1e9, raw=json.dumps({"body": text}).encode()))
        live = [row.id for row in tx.history.search(Asked(terms, since=1e9), limit=1000)]
        tx.outbox.bury(seq, now=1.0, reason="why")
        assert tx.sweepings.archive(before=2.0, stale_before=0.0, limit=9).rows == 1
        past = [row.id for row in tx.history.search(Asked(terms, since=1e9), limit=1000)]
    assert (id in live) == (id in past)


@pytest.mark.parametrize(
    ("texts", "typed", "shown"),
    [
        (["the red lamp"], "lamp", "the red lamp"),
        (["one\n\n  two\tthree"], "three", "one two three"),
        (["no such", '{"k":"lamp"}'], "lamp", '{"k":"lamp"}'),
        (["not there"], "lamp", "not there"),
        (["", "x"], "lamp", ""),
        ([], "lamp", ""),
        (["my RÉSUMÉ"], "resume", "my RÉSUMÉ"),
        (["x" * 100 + " lamp " + "y" * 100], "lamp", "…" + "x" * 47 + " lamp " + "y" * 27 + "…"),
    ],
)
def test_an_excerpt_shows_the_words_in_their_place(texts: list[str], typed: str, shown: str) -> None:
    """From the first text that has them; else how the first one begins."""
    assert excerpt(texts, parse(typed)) == shown


def test_an_excerpt_begins_with_whole_words_and_is_short() -> None:
    """However long the text."""
    text = " ".join(f"word{n}" for n in range(5000))
    shown = excerpt([text], parse("word100"))

    assert shown.startswith("…word96 word97 word98 word99 word100") and shown.endswith("…")
    assert len(shown) <= WIDTH + 2
