"""JSON changed in place: what is asked for happens, and not one other character moves."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spool import jsontext
from spool.jsontext import MISSING, NotJson
from tests.odd_json import documents

OURS = {"command": "spool", "args": ["mcp"]}

STYLES = [
    pytest.param(
        '{\n  "a": {\n    "x": 1\n  }\n}\n',
        '{\n  "a": {\n    "x": 1,\n    "k": [\n      1\n    ]\n  }\n}\n',
        id="two spaces",
    ),
    pytest.param(
        '{\n\t"a": {\n\t\t"x": 1\n\t}\n}',
        '{\n\t"a": {\n\t\t"x": 1,\n\t\t"k": [\n\t\t\t1\n\t\t]\n\t}\n}',
        id="tabs, no final newline",
    ),
    pytest.param(
        '{\r\n    "a": {\r\n        "x":1\r\n    }\r\n}\r\n',
        '{\r\n    "a": {\r\n        "x":1,\r\n        "k":[\r\n            1\r\n        ]\r\n    }\r\n}\r\n',
        id="CRLF, four spaces, no space behind a colon",
    ),
    pytest.param('{"a":{"x":1}}', '{"a":{"x":1,"k":[1]}}', id="one line, compact"),
    pytest.param('{"a": {"x": 1}}\n', '{"a": {"x": 1, "k": [1]}}\n', id="one line with spaces"),
    pytest.param('\ufeff{ "a" : { "x" : 1 } }', '\ufeff{ "a" : { "x" : 1, "k": [1] } }', id="BOM, wide"),
    pytest.param(
        '{\n  "a": {}\n}', '{\n  "a": {\n    "k": [\n      1\n    ]\n  }\n}', id="an empty object opens up"
    ),
    pytest.param('{"a":{ }}', '{"a":{"k":[1]}}', id="an empty object on one line stays there"),
]


@pytest.mark.parametrize(("text", "wanted"), STYLES)
def test_a_member_is_written_as_its_neighbours_are(text: str, wanted: str) -> None:
    """A person's diff shows the new lines, and nobody's style is changed."""
    assert jsontext.put(text, ("a", "k"), [1]) == wanted


@pytest.mark.parametrize("text", ["", " \n", "\ufeff", "{}", "{ }\r\n"])
def test_an_empty_file_is_an_empty_object(text: str) -> None:
    """A settings file that was only touched is not refused."""
    after = jsontext.put(text, ("a", "b"), 1)
    assert jsontext.parse(after) == {"a": {"b": 1}}
    assert after.startswith("\ufeff") == text.startswith("\ufeff")


def test_a_value_that_is_there_already_is_left_as_it_is_written() -> None:
    """Installing twice changes no byte, however a person has set the lines since."""
    text = '{"a":\n[1  ,2]}'
    assert jsontext.put(text, ("a",), [1, 2]) == text


def test_only_the_value_is_replaced() -> None:
    """An older spool's entry is brought up to date where it stands."""
    text = '{\n  "a": [1],\n  "b":   "old"  ,\n  "c": 1e400\n}'
    assert jsontext.put(text, ("b",), {"x": 1}) == text.replace('"old"', '{\n    "x": 1\n  }')


@pytest.mark.parametrize(
    ("text", "path", "wanted"),
    [
        ('{"a": 1,\n "b": 2,\n "c": 3}', ("b",), '{"a": 1,\n "c": 3}'),
        ('{"a": 1,\n "b": 2}', ("b",), '{"a": 1}'),
        ('{ "a": 1, "b": 2 }', ("a",), '{ "b": 2 }'),
        ("[{\n}]", (0,), "[]"),
        ('{"a": [1, [2], 3]}', ("a", 1), '{"a": [1, 3]}'),
        ('{"a": 1}', ("b",), '{"a": 1}'),
        ('{"a": 1}', ("a", "b"), '{"a": 1}'),
        ('{"a": [1]}', ("a", 7), '{"a": [1]}'),
    ],
)
def test_a_value_goes_with_its_comma(text: str, path: tuple[str | int, ...], wanted: str) -> None:
    """What is left is JSON, and nothing but the value and one comma is gone."""
    assert jsontext.drop(text, path) == wanted


def test_of_equal_keys_the_last_counts() -> None:
    """A program that reads the file takes the last; the one before it is not to be mistaken for it."""
    text = '{"a": {"x": 1}, "a": {"y": 2}}'
    assert jsontext.put(text, ("a", "k"), 0) == '{"a": {"x": 1}, "a": {"y": 2, "k": 0}}'


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('{\n  "a": 1,\n}', 3, 1),
        ('{"a": NaN}', 1, 7),
        ('{"NaN": "Infinity", \n"b": -Infinity}', 2, 6),
        ("{\n // why\n}", 2, 2),
        ('{"a": 1} x', 1, 10),
        ('\ufeff{"a" 1}', 1, 6),
        ('{"a": "\n"}', 1, 8),
        ("[" * 200_000, 1, 1),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(text: str, line: int, column: int) -> None:
    """A person finds the slip; a file that is not understood is never written."""
    with pytest.raises(NotJson) as caught:
        jsontext.put(text, ("k",), 1)
    assert (caught.value.line, caught.value.column) == (line, column)


@pytest.mark.parametrize("text", ['{"a":\n [1]}', '{"a":\n "x"}', '{"a":\n null}'])
def test_what_is_no_object_takes_no_member(text: str) -> None:
    """A foreign value is not replaced by an object because a path goes through it."""
    with pytest.raises(NotJson, match="an object is expected here") as caught:
        jsontext.put(text, ("a", "k"), 1)
    assert (caught.value.line, caught.value.column) == (2, 2)


def test_numbers_of_any_length_are_read_over() -> None:
    """Python refuses integers of thousands of digits; a settings file may hold one."""
    text = '{"a": ' + "9" * 10_000 + "}"
    assert jsontext.drop(jsontext.put(text, ("k",), 1), ("k",)) == text


@settings(max_examples=150, deadline=None)
@given(documents())
def test_what_is_put_in_and_taken_out_leaves_the_text_as_it_was(text: str) -> None:
    """Whatever the spaces, the order of the keys, the escapes."""
    before = jsontext.parse(text)
    after = jsontext.put(text, ("ours",), OURS)
    assert jsontext.parse(after) == {**before, "ours": OURS}
    rest = jsontext.drop(after, ("ours",))
    assert rest == text or (before == {} and jsontext.parse(rest) == {})


@settings(max_examples=100, deadline=None)
@given(documents(), st.data())
def test_any_value_can_be_replaced_and_dropped(text: str, draw: st.DataObject) -> None:
    """The rest says the same as before, compared with the standard library's own reading."""
    value = json.loads(text.removeprefix("\ufeff"))
    path = draw.draw(st.sampled_from(_paths(value)))
    replaced = json.loads(jsontext.put(text, path, "ours").removeprefix("\ufeff"))
    dropped = json.loads(jsontext.drop(text, path).removeprefix("\ufeff"))
    assert replaced == _with(value, path, "ours")
    assert dropped == _with(value, path, MISSING)


def _paths(value: Any) -> list[tuple[str | int, ...]]:
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    found: list[tuple[str | int, ...]] = []
    for key in keys:
        found += [(key,), *((key, *rest) for rest in _paths(value[key]))]
    return [*found, ("new",)] if isinstance(value, dict) else found


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _with(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    copy = json.loads(json.dumps(value))
    outer, key = _at(copy, path[:-1]), cast("Any", path[-1])
    if new is not MISSING:
        outer[key] = new
    elif isinstance(outer, list) or key in outer:
        del outer[key]
    return copy
