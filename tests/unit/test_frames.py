"""The frames of a link: what is one, what comes over in it, and what is too much."""

from __future__ import annotations

import pytest

from spool.transports import frames
from tests.rows import new_parcel


@pytest.mark.parametrize(
    "line",
    [
        b'{"f":"messages","n":1,"items":[' + b",".join([b'{"t":1}'] * 2049) + b"]}",
        b'{"f":"query","n":1,"items":[' + b",".join([b'{"from":"a","id":"b"}'] * 2049) + b"]}",
        b'{"f":"messages","n":1' + b"0" * 30 + b',"items":[]}',
        b'{"f":"ping","n":1,"clock":1,"unread":1' + b"0" * 30 + b"}",
        b'{"f":"ping","n":-1,"clock":1}',
    ],
)
def test_more_than_the_protocol_allows_is_no_frame(line: bytes) -> None:
    """One transaction of all of it would lock the store, a number of that size cannot be kept."""
    with pytest.raises(frames.BadFrame):
        frames.decode(line)


def test_a_full_frame_is_one() -> None:
    """2,048 items are what may be on their way at once."""
    line = b'{"f":"messages","n":1,"items":[' + b",".join([b'{"t":1}'] * 2048) + b"]}"

    assert isinstance(frames.decode(line), frames.Messages)


@pytest.mark.parametrize("raw", [b'{"body":"text"}', b'{\n"body":"text"}', b'{\r"body": "\xc3\xa4"}'])
def test_a_message_arrives_as_the_bytes_it_was(raw: bytes) -> None:
    """Its hash is over the bytes, and a line break within them must not end the frame."""
    sent = frames.item_of(new_parcel(raw=raw), 2.0)
    line = frames.encode(frames.Messages(1, [sent]))
    came = frames.decode(line[:-1])

    assert line.count(b"\n") == 1
    assert isinstance(came, frames.Messages)
    assert frames.raw_of(came.items[0]) == raw


def test_what_the_row_knows_of_a_message_goes_with_it() -> None:
    """None of it stands in the bytes: the next host would decide without it."""
    parcel = new_parcel(hops='["a","b"]', filled='["id"]', queued_at=1.5, expires_at=62.0, attached=True)

    item = frames.item_of(parcel, 2.0)

    assert (item.h, item.x, item.q, item.t, item.a) == (["a", "b"], ["id"], 1.5, 60.0, True)


def test_a_lifetime_that_is_over_is_none_and_not_less() -> None:
    """The far side counts from its own clock on; it has no use for a time that has passed."""
    assert frames.item_of(new_parcel(expires_at=1.0), 2.0).t == 0.0


def test_a_frame_of_an_unknown_kind_is_passed_over() -> None:
    """A newer version may say more, and the link goes on."""
    assert frames.decode(b'{"f":"greetings","n":"x"}') is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"f":"ping"}', "ping frame"),
        (b'{"n":1}', "no frame"),
        (b"[1]", "not a frame"),
        (b"hello?", "not a frame"),
        (b'{"f":"p\xff"}', "not a frame"),
        (b"[" * 100_000, "not a frame"),
    ],
)
def test_what_is_no_frame_is_named_as_what_it_is(line: bytes, why: str) -> None:
    """The link ends with these words, which are all that a person has to find the cause by."""
    with pytest.raises(frames.BadFrame, match=f"^{why}") as told:
        frames.decode(line)

    assert len(str(told.value)) < 300
