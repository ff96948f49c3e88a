"""JSON text changed in place: a value put in, taken out or replaced, and every other character kept."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

BOM: Final = "\ufeff"
MISSING: Final = object()
Where = tuple[str | int, ...]

_SPACE: Final = " \t\n\r"
_UNIT: Final = "  "
# A string, or one of the three words that Python's reader takes and JSON does not have.
_NO_NUMBER: Final = re.compile(r'"(?:[^"\\]|\\.)*"|(-?Infinity|NaN)')


class NotJson(ValueError):
    """The text cannot be changed: `what` is wrong with it, at `line` and `column`, counted from 1."""

    def __init__(self, what: str, line: int, column: int) -> None:
        super().__init__(f"{what} (line {line}, column {column})")
        self.what, self.line, self.column = what, line, column


class _Constant(Exception):
    pass


class _Member(NamedTuple):
    """One member or element: its key, and where it, its value and its end stand in the text."""

    key: str | int
    start: int
    value: int
    end: int


class _Box(NamedTuple):
    """An object or an array in the text, from its opening bracket to behind its closing one."""

    start: int
    members: list[_Member]
    end: int


class _Step(NamedTuple):
    """A box on the way along a path, and which of its members the way goes on in, if it is there."""

    box: _Box
    place: int | None

    @property
    def member(self) -> _Member:
        assert self.place is not None
        return self.box.members[self.place]


class _Layout(NamedTuple):
    """How its neighbours are written: on lines of their own where `newline` is not empty."""

    newline: str
    indent: str
    unit: str
    colon: str
    comma: str


def parse(text: str) -> Any:
    """Read it as a program would; an empty file holds an empty object, the last of equal keys counts.

    Raises:
        NotJson: it is no JSON text (RFC 8259), or nested too deeply to be read.
    """
    body = text.removeprefix(BOM)
    if not body.strip(_SPACE):
        return {}
    try:
        return _DECODER.decode(body)
    except json.JSONDecodeError as exc:
        raise NotJson(exc.msg, exc.lineno, exc.colno) from exc
    except _Constant as exc:
        raise _wrong(body, _first_constant(body), f"{exc} is not JSON") from exc
    except RecursionError as exc:
        raise NotJson("nested too deeply", 1, 1) from exc


def get(text: str, path: Where) -> Any:
    """The value at a path, else MISSING. Raises NotJson."""
    value = parse(text)
    for key in path:
        inside = isinstance(value, dict) and key in value
        if not inside and not (isinstance(value, list) and isinstance(key, int) and key < len(value)):
            return MISSING
        value = value[key]
    return value


def put(text: str, path: Where, value: Any) -> str:
    """Set the value at a path of keys, in the style of its neighbours; objects on the way are made.

    The text stays as it is where the value is there already. An index in the path must exist.

    Raises:
        NotJson: no JSON text, or something on the way is of another kind.
    """
    if parse(text) == {} and not text.removeprefix(BOM).strip(_SPACE):
        bom = BOM if text.startswith(BOM) else ""
        return bom + json.dumps(_nested(path, value), indent=_UNIT, ensure_ascii=False) + "\n"
    steps = _walk(text, path)
    *outer, last = steps
    if last.place is None:
        key = path[len(outer)]
        return _insert(text, steps, key, _nested(path[len(steps) :], value))
    if json.dumps(get(text, path)) == json.dumps(value):
        return text
    member = last.member
    return text[: member.value] + _render(value, _layout(text, steps)) + text[member.end :]


def append(text: str, path: Where, value: Any) -> str:
    """Put a value at the end of the array at a path; the array is made where there is none.

    Raises:
        NotJson: no JSON text, or something on the way is of another kind.
    """
    if get(text, path) is MISSING:
        return put(text, path, [value])
    steps = _walk(text, (*path, -1))
    return _insert(text, steps, -1, value)


def drop(text: str, path: Where) -> str:
    """Take out what stands at a path, with its comma; nothing changes where there is nothing.

    Raises:
        NotJson: no JSON text, or something on the way is of another kind.
    """
    if get(text, path) is MISSING:
        return text
    box, place = _walk(text, path)[-1]
    assert place is not None
    members = box.members
    if place > 0:
        start, end = members[place - 1].end, members[place].end
    elif len(members) > 1:
        start, end = members[0].start, members[1].start
    else:
        start, end = box.start + 1, box.end - 1
    return text[:start] + text[end:]


def _walk(text: str, path: Where) -> list[_Step]:
    """The boxes along a path; the last one alone may lack its member."""
    parse(text)
    at = _skip(text, len(BOM) if text.startswith(BOM) else 0)
    steps = []
    for key in path:
        bracket, kind = ("{", "an object") if isinstance(key, str) else ("[", "an array")
        if text[at] != bracket:
            raise _wrong(text, at, f"{kind} is expected here")
        box = _box(text, at)
        found = [place for place, member in enumerate(box.members) if member.key == key]
        steps.append(_Step(box, found[-1] if found else None))
        if not found:
            break
        at = steps[-1].member.value
    return steps


def _box(text: str, at: int) -> _Box:
    """What stands between the bracket there and its counterpart, in a text that is known to be JSON."""
    is_object = text[at] == "{"
    members: list[_Member] = []
    here = _skip(text, at + 1)
    while text[here] not in "}]":
        key, start = len(members), here
        if is_object:
            key, here = _DECODER.raw_decode(text, here)
            here = _skip(text, _skip(text, here) + 1)
        _, end = _DECODER.raw_decode(text, here)
        members.append(_Member(key, start, here, end))
        here = _skip(text, end)
        if text[here] == ",":
            here = _skip(text, here + 1)
    return _Box(at, members, here + 1)


def _insert(text: str, steps: Sequence[_Step], key: str | int, value: Any) -> str:
    box, layout = steps[-1].box, _layout(text, steps)
    name = json.dumps(key, ensure_ascii=False) + layout.colon if isinstance(key, str) else ""
    item = name + _render(value, layout)
    if box.members:
        at = box.members[-1].end
        return text[:at] + layout.comma + item + text[at:]
    before = after = ""
    if layout.newline:
        before, after = layout.newline + layout.indent, layout.newline + _indent_of(text, steps[:-1])
    return text[: box.start + 1] + before + item + after + text[box.end - 1 :]


def _render(value: Any, layout: _Layout) -> str:
    if not layout.newline:
        separators = (", " if layout.comma == ", " else ",", layout.colon)
        return json.dumps(value, separators=separators, ensure_ascii=False)
    written = json.dumps(value, indent=layout.unit, separators=(",", layout.colon), ensure_ascii=False)
    return written.replace("\n", layout.newline + layout.indent)


def _layout(text: str, steps: Sequence[_Step]) -> _Layout:
    """How a member of the last box is to be written."""
    box = steps[-1].box
    colon, unit = _colon(text, steps), _unit(text, steps[0].box)
    if box.members:
        last = box.members[-1]
        lead = _lead(text, last.start)
        if newline := _newline(lead):
            indent = lead.rpartition("\n")[2]
            return _Layout(newline, indent, unit, colon, "," + newline + indent)
        gap = lead if len(box.members) > 1 else " " * (colon == ": ")
        return _Layout("", "", "", colon, "," + gap)
    if len(steps) == 1:
        return _Layout("\r\n" if "\r\n" in text else "\n", unit, unit, ": ", "")
    outer = _lead(text, steps[-2].member.start)
    if newline := _newline(outer):
        return _Layout(newline, _indent_of(text, steps[:-1]) + unit, unit, colon, "")
    return _Layout("", "", "", colon, ", " if colon == ": " else ",")


def _unit(text: str, root: _Box) -> str:
    """One step of indentation: that of the outermost members."""
    lead = _lead(text, root.members[0].start) if root.members else ""
    return lead.rpartition("\n")[2] if _newline(lead) else _UNIT


def _colon(text: str, steps: Sequence[_Step]) -> str:
    """The colon as the nearest member of an object has it."""
    for box, _ in reversed(steps):
        if text[box.start] == "{" and box.members:
            return ": " if text[box.members[-1].value - 1] in _SPACE else ":"
    return ": "


def _indent_of(text: str, steps: Sequence[_Step]) -> str:
    """The indentation of the line on which the member of the last step begins."""
    return _lead(text, steps[-1].member.start).rpartition("\n")[2] if steps else ""


def _newline(space: str) -> str:
    if "\n" not in space:
        return ""
    return "\r\n" if "\r\n" in space else "\n"


def _lead(text: str, at: int) -> str:
    """The white space before a place."""
    start = at
    while start and text[start - 1] in _SPACE:
        start -= 1
    return text[start:at]


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] in tuple(_SPACE):
        at += 1
    return at


def _nested(path: Where, value: Any) -> Any:
    for key in reversed(path):
        value = {key: value}
    return value


def _wrong(text: str, at: int, what: str) -> NotJson:
    body = text.removeprefix(BOM)
    before = body[: at - (len(text) - len(body))]
    return NotJson(what, before.count("\n") + 1, len(before) - before.rfind("\n"))


def _first_constant(text: str) -> int:
    return next((match.start() for match in _NO_NUMBER.finditer(text) if match[1]), 0)


def _constant(name: str) -> Any:
    raise _Constant(name)


def _int(digits: str) -> int | str:
    # int() refuses thousands of digits; nobody compares them here.
    return int(digits) if len(digits) < 4000 else digits


_DECODER: Final = json.JSONDecoder(parse_constant=_constant, parse_int=_int)
