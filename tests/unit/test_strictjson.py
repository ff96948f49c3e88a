"""JSON that every reader understands alike, and the digest by which two copies are known as one."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spool import strictjson
from spool.errors import BadMessage, SpoolError, TooLarge
from spool.message import FIELDS, Message, parse, seal
from spool.strictjson import MAX_DEPTH, NotStrict, digest

TIME = "2025-11-13T10:30:45Z"
HEAD = '{"from":"a","to":"b","body":"x",'

texts = st.text(max_size=12)
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(texts, values, max_size=5)


def make(text: str | bytes) -> Message:
    raw = text.encode() if isinstance(text, str) else text
    return seal(raw, id="msg-1", timestamp=TIME)


def refused(text: str | bytes, match: str | None = None) -> None:
    """As a message of an origin, and as one from the wire."""
    raw = text.encode() if isinstance(text, str) else text
    with pytest.raises(BadMessage, match=match):
        seal(raw, id="msg-1", timestamp=TIME)
    with pytest.raises(BadMessage):
        parse(raw)
    whole = raw.replace(b"{", b'{"id":"m","timestamp":"2025-11-13T10:30:45Z",', 1)
    with pytest.raises(BadMessage, match=match):
        parse(whole)


@pytest.mark.parametrize(
    "inner",
    [
        '"body":"y"',
        '"id":"m1","id":"m2"',
        '"q":1,"q":1',
        '"q":{"a":1,"a":2}',
        '"q":[[{"b":{"c":1,"c":2}}]]',
        '"context":{"a":1,"\\u0061":2}',
        '"é":1,"\\u00e9":2',
        '"":1,"":2',
    ],
)
def test_a_key_twice_in_one_object_is_refused(inner: str) -> None:
    """At any depth and however it is spelt: one reader takes the first, another the last."""
    with pytest.raises(BadMessage, match="stands twice"):
        make(HEAD + inner + "}")


def test_the_same_key_in_two_objects_is_fine() -> None:
    """Only within one does it mean two things."""
    assert make(HEAD + '"q":{"a":1},"r":{"a":1},"s":[{"a":1},{"a":1}]}').body == "x"


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 400, "[NaN]", '{"a":-1e999}']
)
@pytest.mark.parametrize("name", ["q", "context"])
def test_numbers_without_a_value_are_refused(name: str, value: str) -> None:
    """JSON has no NaN, and what is out of range becomes an infinity for some readers."""
    refused(HEAD + f'"{name}":{value}}}')


@pytest.mark.parametrize("text", ["\\ud800", "\\udc00x", "\\udc00\\ud800", "a\\uD83D"])
@pytest.mark.parametrize("form", ['"q":"{}"', '"q":{{"{}":1}}', '"subject":"{}"', '"context":{{"a":"{}"}}'])
def test_half_a_character_is_refused(form: str, text: str) -> None:
    """A lone surrogate has no UTF-8."""
    refused(HEAD + form.format(text) + "}", "UTF-8|not JSON")


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5\x80\x80\x80"])
def test_bad_utf_8_is_refused(bad: bytes) -> None:
    """Wherever it stands, also in a field that spool does not look at."""
    refused(b'{"from":"a","to":"b","body":"x","q":"' + bad + b'"}')
    refused(b'{"from":"a","to":"b","body":"' + bad + b'"}')


@pytest.mark.parametrize(
    "text",
    [
        b'\xef\xbb\xbf{"from":"a","to":"b","body":"x"}',
        '{"from":"a","to":"b","body":"x"}'.encode("utf-16"),
        b"",
        b" ",
        b"null",
        b"[]",
        b'"text"',
        b"{}{}",
        b'{"from":"a","to":"b","body":"x",}',
        b"{'from':'a'}",
        b'{"from":"a","to":"b","body":"x"} trailing',
        b'{"from":"a","to":"b","body":"x"}\x00',
        b'{"from":"a","to":"b","body":"a\nb"}',
        b'{"from":"a","to":"b","body":"x","q":01}',
        b'{"from":"a","to":"b","body":"x","q":+1}',
        b'{"from":"a","to":"b","body":"x","q":.5}',
        b'{"from":"a","to":"b","body":"x","q":"\\x41"}',
        b'{"from":"a","to":"b","body":"x" /* c */}',
        b"\x00" * 200,
    ],
)
def test_what_is_not_one_json_object_is_refused(text: bytes) -> None:
    """A byte order mark included: not every reader skips it."""
    with pytest.raises(BadMessage):
        seal(text, id="msg-1", timestamp=TIME)
    with pytest.raises(BadMessage):
        parse(text)


def nested(depth: int) -> str:
    """An object whose value is nested so deep, in turn as arrays and objects."""
    return '{"from":"a","to":"b","body":"x","q":' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


def test_nesting_has_a_limit_to_the_level() -> None:
    """The outermost object is level one."""
    assert make(nested(MAX_DEPTH)).body == "x"
    refused(nested(MAX_DEPTH + 1), f"nested deeper than {MAX_DEPTH}")


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("depth", [1_000, 16_000])
def test_absurd_nesting_is_refused_and_not_a_crash(opening: str, depth: int) -> None:
    """Neither of the two parsers may fall over it."""
    with pytest.raises(BadMessage, match=r"nested deeper|not JSON"):
        make(HEAD + '"q":' + opening * depth)
    with pytest.raises(BadMessage, match="nested deeper"):
        closing = {"[": "]", '{"a":': "}"}[opening]
        make(HEAD + '"q":' + opening * depth + ("" if opening == "[" else "1") + closing * depth + "}")


def test_brackets_within_a_text_are_not_nesting() -> None:
    """A body full of code."""
    assert make('{"from":"a","to":"b","body":"' + "[{" * 500 + '"}').body == "[{" * 500


@pytest.mark.parametrize(
    "value",
    [
        "1.0",
        "1e5",
        "1E+05",
        "-0",
        "-0.0",
        "0.1000000000000000055",
        "9007199254740993",
        "123456789012345678901234567890",
        '"\\u0041\\/b"',
        '{ "b" : 1 ,\n\t"a":[ 1,2 ] }',
        "[1 , 2]",
        '"✅\\ud83d\\ude00"',
        "null",
    ],
)
def test_unknown_values_keep_their_bytes(value: str) -> None:
    """Odd spaces and spellings included, whether something had to be filled in or not."""
    sealed = make(HEAD + f'"q" : {value} }}')

    assert bytes(sealed.extra["q"]).decode() == value
    assert bytes(parse(sealed.raw, filled=sealed.filled).extra["q"]).decode() == value


def test_extra_is_what_spool_does_not_know() -> None:
    """And nothing else."""
    sealed = make(HEAD + '"solution":"s","commit":"c","priority":"P1"}')

    assert list(sealed.extra) == ["solution", "commit"]
    assert not set(sealed.extra) & set(FIELDS)


@settings(max_examples=200, deadline=None)
@given(objects, st.booleans(), st.sampled_from([None, (",", ":"), (", ", ": "), (" ,\n", "\t:  ")]))
@example({"€": 1, "\r": 2, "דּ": 3, "1": 4, "😀": 5, "\x80": 6, "ö": 7}, False, None)
@example({"n": [333333333.33333329, 1e30, 4.50, 2e-3, 1e-27, 1e21, 5e-324, -0.0]}, True, None)
@example({"s": '\x00\x1f\x7f\u2028\u2029"\\/\b\f\n\r\t€'}, False, None)
def test_the_digest_is_that_of_rfc_8785(whole: dict[str, Any], ascii: bool, spaces: Any) -> None:
    """Whoever wrote the text, and on the fast path as on the careful one."""
    text = json.dumps(whole, ensure_ascii=ascii, separators=spaces)

    assert digest(text.encode()) == hashlib.sha256(rfc8785.dumps(whole)).digest()


@settings(max_examples=200, deadline=None)
@given(objects)
@example({"deep": [[[{"a": [True, None, -1, 10**15, 10**15 - 1]}]]], "é": {"é": 1}})
def test_what_spool_itself_writes_has_the_same_digest(whole: dict[str, Any]) -> None:
    """The fast path is taken for nearly all of it."""
    text = msgspec.json.encode(whole)

    assert digest(text) == hashlib.sha256(rfc8785.dumps(json.loads(text))).digest()


@settings(max_examples=30, deadline=None)
@given(objects, st.randoms())
def test_the_digest_is_blind_to_the_order_of_keys(whole: dict[str, Any], random: Any) -> None:
    """A script that sends again need not remember how it wrote it."""
    keys = list(whole)
    random.shuffle(keys)

    assert digest(json.dumps({k: whole[k] for k in keys}).encode()) == digest(json.dumps(whole).encode())


@settings(max_examples=30, deadline=None)
@given(objects, objects)
def test_other_content_has_another_digest(one: dict[str, Any], other: dict[str, Any]) -> None:
    """As far as JSON tells them apart."""
    same = rfc8785.dumps(one) == rfc8785.dumps(other)

    assert (digest(json.dumps(one).encode()) == digest(json.dumps(other).encode())) == same


@pytest.mark.parametrize(("one", "other"), [("1", "1.0"), ("100", "1e2"), ("0", "-0"), ('"A"', '"\\u0041"')])
def test_the_digest_is_blind_to_spelling(one: str, other: str) -> None:
    """The same value, written in two ways."""
    assert digest(f'{{"q":{one}}}'.encode()) == digest(f'{{"q":{other}}}'.encode())


def test_a_huge_number_counts_as_a_double() -> None:
    """RFC 8785 3.2.2.3; what is not exact stays in the text as it was written."""
    assert digest(b'{"q":9007199254740993}') == digest(b'{"q":9007199254740992}')


def test_the_digest_leaves_out_what_a_spool_filled_in() -> None:
    """The same script's message over two ways, each with its own id and time, is one message."""
    text = b'{"from":"a","to":"b","body":"x"}'
    one = seal(text, id="msg-1", timestamp=TIME)
    two = seal(text, id="msg-2", timestamp="2026-01-01T00:00:00Z")

    assert one.digest == two.digest == digest(text)
    assert parse(one.raw, filled=one.filled).digest == one.digest
    assert parse(one.raw).digest != one.digest


def test_the_digest_is_the_same_from_a_mapping_and_from_its_text() -> None:
    """Over either door."""
    given = {"from": "a", "to": "b", "body": "✅", "n": 1.5}

    assert seal(given, id="m", timestamp=TIME).digest == digest(json.dumps(given).encode())


@pytest.mark.parametrize("text", [b"[]", b"1", b"", b'{"a":1,"a":1}', b"\xff{}", b'{"a":NaN}', b"[" * 99_999])
def test_digest_says_not_strict(text: bytes) -> None:
    """With one kind of error, whatever is wrong."""
    with pytest.raises(NotStrict):
        strictjson.digest(text)


pieces = st.sampled_from(
    [b'{"from":"a",', b'"to":"b"', b'"body":"x"}', b"[", b"]", b"{", b"}", b"\\u", b"NaN"]
)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.lists(pieces | st.binary(max_size=3), max_size=30).map(b"".join))
def test_no_bytes_break_the_reader(raw: bytes) -> None:
    """Whatever comes over the wire is a message or one of two errors."""
    for read in (parse, lambda raw: parse(raw, filled=("id", "from")), make):
        try:
            found = read(raw)
        except (BadMessage, TooLarge) as exc:
            assert isinstance(exc, SpoolError) and str(exc)
        else:
            assert found.id


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_damage_breaks_the_reader(data: st.DataObject) -> None:
    """A good message with a few bytes changed: still itself, or refused."""
    raw = bytearray(make(HEAD + '"context":{"a":[1,2.5,null]},"q":{"é":"\\u20ac"}}').raw)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = parse(bytes(raw))
    except (BadMessage, TooLarge):
        return
    assert found.raw == bytes(raw)
