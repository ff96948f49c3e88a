"""JSON read strictly (no duplicate keys, NaN, bad UTF-8, deep nesting), and its RFC 8785 digest."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    import json

MAX_DEPTH: Final = 64
_EXACT: Final = 2**53 - 1


class NotStrict(ValueError):
    """The text is not JSON that every reader understands alike."""


class _NeedsCare(Exception):
    """A number or a key that the fast encoder would not write as RFC 8785 asks."""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise NotStrict(f"the key {key[:40]!r} stands twice in one object")
            seen.add(key)
    return found


def _plain_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs) or not all(map(str.isascii, found)):
        raise _NeedsCare
    return found


def _plain_int(text: str) -> int:
    if len(text) > 15:
        raise _NeedsCare
    return int(text)


def _needs_care(_text: str) -> Any:
    raise _NeedsCare


def _constant(text: str) -> Any:
    raise NotStrict(f"{text} is not JSON")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NotStrict(f"the number {text[:40]} is out of range")
    return value


def _int(text: str) -> int | float:
    # RFC 8785 (3.2.2.3): numbers are IEEE 754 doubles.
    return int(text) if len(text) <= 16 and abs(int(text)) <= _EXACT else _float(text)


@functools.cache
def _fast() -> json.JSONDecoder:
    import json

    return json.JSONDecoder(
        object_pairs_hook=_plain_pairs,
        parse_int=_plain_int,
        parse_float=_needs_care,
        parse_constant=_needs_care,
    )


@functools.cache
def _careful() -> json.JSONDecoder:
    import json

    return json.JSONDecoder(
        object_pairs_hook=_pairs,
        parse_int=_int,
        parse_float=_float,
        parse_constant=_constant,
    )


def digest(raw: bytes, leave_out: Collection[str] = ()) -> bytes:
    """Check one JSON object strictly and return its SHA-256 in RFC 8785 form (32 bytes).

    Args:
        raw: the text, UTF-8.
        leave_out: keys of the outermost object that do not count.

    Raises:
        NotStrict: not an object, bad UTF-8, a duplicate key, NaN or an infinity, a lone
            surrogate, or nested deeper than MAX_DEPTH.
    """
    # Who only reads mail hashes nothing: it need not wait for these.
    import hashlib
    import json

    try:
        text = raw.decode("utf-8")
        try:
            value, canonical = _fast().decode(text), _encode_fast
        except _NeedsCare:
            value, canonical = _careful().decode(text), _encode_careful
        if not isinstance(value, dict):
            raise NotStrict("not an object")
        if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH:
            _check_depth(value)
        for key in leave_out:
            value.pop(key, None)
        return hashlib.sha256(canonical(value)).digest()
    except RecursionError as exc:
        raise NotStrict(f"nested deeper than {MAX_DEPTH}") from exc
    except UnicodeError as exc:
        raise NotStrict("not UTF-8") from exc
    except json.JSONDecodeError as exc:
        raise NotStrict(f"not JSON: {exc.msg} at character {exc.pos}") from exc


def digest_of_texts(texts: Mapping[str, str]) -> bytes:
    """The same of an object of texts, under names that are ASCII."""
    import hashlib

    return hashlib.sha256(_encode_fast(texts)).digest()


def _encode_fast(value: Mapping[str, Any]) -> bytes:
    # Sorted msgspec output is RFC 8785 when keys are ASCII and numbers are small integers.
    return msgspec.json.encode(value, order="sorted")


def _encode_careful(value: Mapping[str, Any]) -> bytes:
    import rfc8785

    try:
        return rfc8785.dumps(value)
    except rfc8785.CanonicalizationError as exc:
        raise NotStrict(str(exc)) from exc


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise NotStrict(f"nested deeper than {MAX_DEPTH}")
