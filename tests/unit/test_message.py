"""What a message must be: its fields, names, times, limits and defaults."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spool.errors import BadMessage, TooLarge
from spool.message import FIELDS, MAX_BYTES, Message, load, parse, parse_time, seal, split_address

VECTORS = {path.stem: path.read_bytes() for path in Path(__file__).parents[1].glob("vectors/*.json")}
LEAST = {"from": "claude-local", "to": "claude-cloud", "body": "hello"}
TIME = "2025-11-13T10:30:45Z"


def make(given: Any = None, /, **more: Any) -> Message:
    """Seal a mapping or a text as its first spool would."""
    whole = given if isinstance(given, bytes) else {**LEAST, **(given or {}), **more}
    return seal(whole, id="msg-1", timestamp=TIME)


def wrong(text: Any = None, /, **more: Any) -> str:
    """The field that an error names."""
    with pytest.raises(BadMessage) as caught:
        make(text, **more)
    return caught.value.field


def test_what_is_missing_gets_a_sensible_default() -> None:
    """From, to and a text are enough."""
    message = make()

    assert (message.id, message.timestamp) == ("msg-1", TIME)
    assert (message.priority, message.type, message.subject) == ("P2", "message", "")
    assert message.citation == "if://conversation/msg-1"
    assert (message.context, message.requires_response, message.deadline) == ({}, False, None)


def test_filled_names_exactly_what_was_missing() -> None:
    """It travels beside the message, so that every host finds the same digest."""
    assert set(make().filled) == {"id", "timestamp", "priority", "type", "subject", "citation"}
    assert make(VECTORS["question"]).filled == ()


def test_the_citation_is_that_of_the_given_id() -> None:
    """Not that of the id which was offered and not needed."""
    assert make(id="mine").citation == "if://conversation/mine"


def test_given_values_stay() -> None:
    """A default is for what is missing only."""
    message = make(VECTORS["question"])

    assert message.as_dict() == json.loads(VECTORS["question"])
    assert message.raw == VECTORS["question"]


@pytest.mark.parametrize("name", ["from", "to"])
@pytest.mark.parametrize("how", ["missing", "null", "empty"])
def test_sender_and_recipient_are_required(name: str, how: str) -> None:
    """The error names the field as the text does."""
    given = {k: v for k, v in LEAST.items() if k != name}
    given.update({"null": {name: None}, "empty": {name: ""}}.get(how, {}))

    with pytest.raises(BadMessage) as caught:
        seal(json.dumps(given).encode(), id="msg-1", timestamp=TIME)

    assert caught.value.field == name


@pytest.mark.parametrize("given", [{}, {"subject": ""}, {"body": "", "subject": ""}, {"body": None}])
def test_a_message_needs_a_subject_or_a_body(given: dict[str, Any]) -> None:
    """One with neither says nothing."""
    with pytest.raises(BadMessage, match="needs a subject or a body"):
        seal({"from": "a", "to": "b", **given}, id="msg-1", timestamp=TIME)


@pytest.mark.parametrize("given", [{"subject": "s"}, {"body": "b"}])
def test_one_of_subject_and_body_is_enough(given: dict[str, Any]) -> None:
    """Either."""
    assert seal({"from": "a", "to": "b", **given}, id="msg-1", timestamp=TIME).id == "msg-1"


@pytest.mark.parametrize("field", ["id", "re", "thread"])
@pytest.mark.parametrize("id", ["a", "0", "msg-2025-11-13-103045", "A.b_c-d", "x" * 128])
def test_foreign_ids_are_taken(field: str, id: str) -> None:
    """Whatever has the form, also what spool would not make."""
    assert getattr(make({field: id}), field) == id


@pytest.mark.parametrize("field", ["id", "re", "thread"])
@pytest.mark.parametrize(
    "id", ["", "-a", ".a", "_a", "x" * 129, "a/b", "../a", "a b", "a\n", "é", "a\x00", "a:b", "\u0661"]
)
def test_ids_that_could_do_harm_are_refused(field: str, id: str) -> None:
    """An id becomes a file name and a word in a log."""
    assert wrong({field: id}) == field


@pytest.mark.parametrize("name", ["a", "Claude.1_x-y", "x" * 64])
def test_names_of_agents(name: str) -> None:
    """Letters, digits, dot, dash, underscore; not longer than 64."""
    message = make({"from": name, "to": f"{name}@{name}"})

    assert (message.sender, message.to) == (name, f"{name}@{name}")


@pytest.mark.parametrize("name", ["-a", "a b", "x" * 65, "a*", "a\n", "ä", "a@b@c", "@b", "a@", "a/b"])
def test_what_is_no_agents_name(name: str) -> None:
    """Neither as a sender nor as an address."""
    assert wrong({"from": name}) == "from"
    assert wrong({"to": name}) == "to"


def test_a_sender_has_no_host() -> None:
    """Where it came from is known by the key, not said by the message."""
    assert wrong({"from": "a@b"}) == "from"


def test_an_address_may_name_the_host() -> None:
    """`agent@host`, or an agent alone."""
    assert split_address("a@b") == ("a", "b")
    assert split_address("a") == ("a", None)


@pytest.mark.parametrize("field", ["timestamp", "deadline", "expires"])
@pytest.mark.parametrize(
    "time",
    [
        "2025-11-13T11:00:00Z",
        "2025-11-13T11:00:00+01:00",
        "2025-11-13t11:00:00.5z",
        "2025-11-13 11:00:00-09:30",
    ],
)
def test_times_are_rfc_3339_and_keep_their_spelling(field: str, time: str) -> None:
    """Offset and case included: nothing is rewritten."""
    assert getattr(make({field: time}), field) == time


@pytest.mark.parametrize("field", ["timestamp", "deadline", "expires"])
@pytest.mark.parametrize(
    "time",
    [
        "2025-11-13T11:00:00",
        "2025-11-13",
        "11:00",
        "tomorrow",
        "2025-13-13T11:00:00Z",
        "2025-02-30T11:00:00Z",
        "2025-11-13T25:00:00Z",
        "2025-11-13T11:00:00+25:00",
        "2025-11-13T11:00:00Z\n",
        "٢٠٢٥-11-13T11:00:00Z",
        "20251113T110000Z",
        "",
    ],
)
def test_other_times_are_refused(field: str, time: str) -> None:
    """A time without an offset means another moment on each host."""
    assert wrong({field: time}) == field


def test_the_offset_counts() -> None:
    """The same moment, written twice."""
    assert parse_time("t", "2025-11-13T11:00:00+01:00") == parse_time("t", "2025-11-13T10:00:00Z")


@pytest.mark.parametrize("priority", ["P0", "P1", "P2", "P3"])
def test_priorities(priority: str) -> None:
    """P0 is first."""
    assert make(priority=priority).priority == priority


@pytest.mark.parametrize("value", ["P4", "p1", "1", 1, "high", ""])
def test_other_priorities_are_refused(value: object) -> None:
    """A guess would put it in the wrong place."""
    assert wrong(priority=value) == "priority"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("subject", 1),
        ("body", ["a"]),
        ("context", "text"),
        ("context", [1]),
        ("requires_response", "yes"),
        ("type", {}),
        ("id", 5),
        ("from", 5),
        ("to", ["b"]),
        ("deadline", 12345),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_name(field: str, value: object) -> None:
    """As a mapping and as a text alike."""
    assert wrong({field: value}) == field
    assert wrong(json.dumps({**LEAST, field: value}).encode()) == field


def test_the_type_is_free_text() -> None:
    """The known ones are suggestions."""
    assert make(type="Grocery list").type == "Grocery list"


def test_the_limit_counts_the_whole_message_to_the_byte() -> None:
    """What its first spool fills in counts too: every later hop measures the same bytes."""
    room = MAX_BYTES - len(make(body="x").raw) + 1

    assert len(make(body="x" * room).raw) == MAX_BYTES
    with pytest.raises(TooLarge, match=r"102,401 bytes, the limit is 102,400.*name the file"):
        make(body="x" * (room + 1))


def test_the_limit_counts_bytes_not_characters() -> None:
    """A message of three-byte characters reaches it three times as fast."""
    with pytest.raises(TooLarge):
        make(body="€" * (MAX_BYTES // 3))


def test_parse_has_the_same_limit() -> None:
    """Exactly at it is taken, one more byte is not."""
    raw = make(body="x").raw

    assert parse(raw, max_bytes=len(raw)).body == "x"
    with pytest.raises(TooLarge):
        parse(raw, max_bytes=len(raw) - 1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [lambda v: v, lambda v: {"a": [v]}, lambda v: (1, v)])
def test_a_mapping_with_nan_is_refused(bad: float, place: Any) -> None:
    """The encoder would write null, and nobody would know."""
    assert wrong(context={"x": place(bad)}) == "message"
    assert wrong(measured=place(bad)) == "message"


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}, object(), {(1, 2): 3}, lambda: 1])
def test_a_mapping_that_is_not_json_is_refused(value: object) -> None:
    """With spool's own error, whatever the encoder says."""
    assert wrong(odd=value) == "message"


def test_a_mapping_that_holds_itself_is_refused() -> None:
    """Its depth has no end."""
    circle: dict[str, Any] = {}
    circle["self"] = circle

    assert wrong(odd=circle) == "message"


def test_null_means_not_given() -> None:
    """In a mapping."""
    assert make(re=None, deadline=None).raw == make().raw


@pytest.mark.parametrize("name", [name for name in VECTORS if name != "ack"])
def test_the_protocols_messages_are_taken(name: str) -> None:
    """And every value that was in them is still there."""
    sealed = make(VECTORS[name])

    assert json.loads(VECTORS[name]).items() <= sealed.as_dict().items()
    assert parse(sealed.raw, filled=sealed.filled) == sealed


def test_there_are_five_vectors() -> None:
    """An empty folder would pass every test of them."""
    assert sorted(VECTORS) == ["ack", "blocker", "blocker-resolved", "deploy-ready", "minimal", "question"]


optional = st.fixed_dictionaries(
    {},
    optional={
        "priority": st.sampled_from(["P0", "P1", "P2", "P3"]),
        "subject": st.text(max_size=20),
        "type": st.text(max_size=20),
        "context": st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3),
        "requires_response": st.booleans(),
        "re": st.just("msg-0"),
        "answer": st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    },
)


@settings(max_examples=60, deadline=None)
@given(optional)
def test_what_was_sealed_reads_back_the_same(more: dict[str, Any]) -> None:
    """On the next host from the wire, and on this one from its store."""
    sealed = seal({**LEAST, **more}, id="msg-1", timestamp=TIME, allow_secrets=True)

    assert parse(sealed.raw, filled=sealed.filled) == sealed
    assert load(sealed.raw, filled=sealed.filled, digest=sealed.digest) == sealed
    assert set(sealed.filled) <= set(FIELDS)


@given(
    st.dictionaries(
        st.sampled_from(["subject", "note", "Zed", "a b", "ключ"]), st.text(max_size=20), min_size=1
    )
)
@settings(max_examples=200, deadline=None)
def test_the_digest_of_what_was_given_is_the_one_that_every_host_finds(given: dict[str, str]) -> None:
    """The shorter way for plain texts must not differ by a byte: the same message would be two."""
    sealed = seal({**LEAST, **given}, id="msg-1", timestamp=TIME)

    assert parse(sealed.raw, filled=sealed.filled).digest == sealed.digest


@pytest.mark.parametrize("more", [{"n": 1}, {"x": {"a": "b"}}, {"yes": True}, {"half": 0.5}, {"list": ["a"]}])
def test_the_digest_is_the_same_where_not_all_are_texts(more: dict[str, Any]) -> None:
    """Those go the longer way."""
    sealed = make(more)

    assert parse(sealed.raw, filled=sealed.filled).digest == sealed.digest
