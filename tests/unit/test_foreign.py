"""What a script left, read as what it is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spool.errors import BadMessage, SecretFound, SpoolError
from spool.foreign import FileAck, Found, NotWhole, id_of, read, short_name
from spool.message import ID, MAX_BYTES, Message

VECTORS = Path(__file__).parents[1] / "vectors"
MTIME = 1_763_000_000.0


def found(said: object, name: str = "msg-1763000000.json") -> Found:
    """A file of that content."""
    raw = said if isinstance(said, bytes) else json.dumps(said).encode()
    return Found(name, raw, MTIME)


def as_message(file: Found, **more: int) -> Message:
    """The message that a file is."""
    message = read(file, max_bytes=MAX_BYTES, **more)
    assert isinstance(message, Message)
    return message


SAID = {"from": "a", "to": "b", "subject": "x"}


def test_the_same_file_found_again_is_the_same_message() -> None:
    """By its name and its bytes; a time that a copy changed says nothing."""
    one, other = as_message(found(SAID)), as_message(found(SAID)._replace(mtime=MTIME + 60))
    assert (one.id, one.digest) == (other.id, other.digest)
    assert one.id.startswith("msg-1763000000-") and ID.fullmatch(one.id)
    assert one.timestamp == "2025-11-13T02:13:20.000Z"


def test_another_name_or_other_bytes_are_another_message() -> None:
    """And so is one that was written anew on purpose."""
    ids = [
        as_message(found(SAID)).id,
        as_message(found(SAID, name="other.json")).id,
        as_message(found({**SAID, "body": "y"})).id,
        as_message(found(SAID), copy=1).id,
        as_message(found(SAID), copy=2).id,
    ]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.json")), ids=lambda path: path.stem)
def test_the_protocols_own_messages_are_read(path: Path) -> None:
    """As they stand; the ack is an ack, and its `re` is all that counts."""
    read_ = read(found(path.read_bytes(), path.name), max_bytes=MAX_BYTES)
    said = json.loads(path.read_bytes())
    if path.stem == "ack":
        assert isinstance(read_, FileAck) and read_.re == said["re"] and read_.status == said["status"]
        return
    assert isinstance(read_, Message) and read_.sender == said["from"]
    whole = read_.as_dict()
    assert {name: whole[name] for name in said} == said


def test_an_answer_with_a_status_field_is_a_message() -> None:
    """What has words to read is no ack."""
    assert as_message(found({**SAID, "re": "m1", "status": "fine"})).re == "m1"


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b'{"from":"a"', b"\0" * 100, b"[1]", b"12", b'{"a":"\xff"}', b"null", b"\xef\xbb\xbf{}"],
)
def test_what_is_no_whole_object_is_not_whole(raw: bytes) -> None:
    """It may still be growing; who waits decides for how long."""
    with pytest.raises(NotWhole):
        read(found(raw), max_bytes=MAX_BYTES)


@given(st.integers(min_value=0, max_value=400))
def test_no_beginning_of_a_message_is_taken_for_one(end: int) -> None:
    """Wherever its writer was interrupted."""
    whole = (VECTORS / "question.json").read_bytes().rstrip()
    if end < len(whole):
        with pytest.raises(NotWhole):
            read(found(whole[:end]), max_bytes=MAX_BYTES)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"from": "a", "to": "b"}, BadMessage),
        ({"to": "b", "subject": "x"}, BadMessage),
        ({**SAID, "id": "../x"}, BadMessage),
        (b'{"from":"a","to":"b","subject":"x","subject":"y"}', BadMessage),
        ({"re": "../x", "status": "received"}, BadMessage),
        ({"re": 7, "status": "received"}, BadMessage),
        ({**SAID, "body": "-----BEGIN OPENSSH PRIVATE KEY-----"}, SecretFound),
    ],
)
def test_what_is_whole_and_wrong_says_what(said: object, error: type[SpoolError]) -> None:
    """There is nothing to wait for."""
    with pytest.raises(error):
        read(found(said), max_bytes=MAX_BYTES)


@given(st.binary(min_size=1, max_size=255))
def test_any_name_makes_an_id(raw: bytes) -> None:
    """Names are other people's: line breaks, quotes, bytes that are no UTF-8."""
    name = os.fsdecode(raw)
    id = id_of(Found(name, b"{}", 0.0))
    assert ID.fullmatch(id) and len(id) <= 80
    assert len(os.fsencode(short_name(name))) <= 150
