"""Changes that leave most of an input as it was: bytes changed at random are hardly ever JSON any more."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from typing import Final

# Texts, numbers, words, line ends, and each other byte by itself.
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|[A-Za-z_]+|\s+|[\s\S]')
_VALUES: Final = [
    *b"null true false 0 -0 -1 1 1.5 1e999 -1e999 1e-999 9007199254740993 18446744073709551616 NaN".split(),
    *b'"" [] {} [[]] [null] {"a":1} {"a":1,"a":2} "a" "P0" "me" "cloud-1" "msg-1" "sent-1" "\\u0000"'.split(),
    *b'"\\ud800" "\\ud83d\\ude00" "\\n" "2025-11-13T10:30:45Z" "received" "done" "dead" "unknown"'.split(),
    b'"' + b"x" * 130 + b'"',
    b'"' + "\u202e\u2028".encode() + b'"',
    b'"\xff"',
    b"9" * 40,
    b"[" * 65 + b"]" * 65,
]
_MOST_STEPS: Final = 4
_TRY_WHOLE: Final = 20_000
# How often nothing is done that would leave no JSON.
_MILDLY: Final = 0.7
_FROM_ELSEWHERE: Final = 0.6

Change = Callable[[list[bytes], random.Random, Sequence[bytes]], None]


def mutated(raw: bytes, most_bytes: int, seed: int, words: Sequence[bytes]) -> bytes:
    """The input with a few of its tokens replaced, doubled, moved, cut or taken away; the same for a seed."""
    rng = random.Random(seed)
    # What is longer is changed by the byte as well as it can be.
    tokens = _TOKEN.findall(raw[:_TRY_WHOLE]) or [b""]
    changes = _MILD if rng.random() < _MILDLY else _CHANGES
    for _ in range(rng.randint(1, _MOST_STEPS)):
        rng.choice(changes)(tokens, rng, words)
    return (b"".join(tokens) + raw[_TRY_WHOLE:])[:most_bytes]


def _value(tokens: list[bytes], rng: random.Random, words: Sequence[bytes]) -> None:
    """Another value in the place of a text, a number or a word; a key for a key."""
    places = [n for n, token in enumerate(tokens) if _stands_alone(token)]
    keys = [n for n in places if _is_key(tokens, n)]
    if places:
        at = rng.choice(places)
        alike = keys if at in keys else [n for n in places if n not in keys]
        tokens[at] = tokens[rng.choice(alike)]
        if at not in keys and rng.random() < _FROM_ELSEWHERE:
            tokens[at] = rng.choice(_VALUES)


def _stands_alone(token: bytes) -> bool:
    return token[:1].isalnum() or (len(token) > 1 and token[:1] in (b'"', b"-"))


def _is_key(tokens: list[bytes], at: int) -> bool:
    """Whether a colon or an equals sign comes next."""
    behind = [token for token in tokens[at + 1 : at + 3] if not token.isspace()]
    return behind[:1] in ([b":"], [b"="])


def _word(tokens: list[bytes], rng: random.Random, words: Sequence[bytes]) -> None:
    tokens.insert(rng.randint(0, len(tokens)), rng.choice(words))


def _double(tokens: list[bytes], rng: random.Random, words: Sequence[bytes]) -> None:
    """A run of tokens once more, somewhere: a member, a line, a bracket."""
    start = rng.randrange(len(tokens) + 1)
    run = tokens[start : start + rng.choice([1, 2, 4, 8, 32])]
    at = rng.randint(0, len(tokens))
    tokens[at:at] = run


def _cut(tokens: list[bytes], rng: random.Random, words: Sequence[bytes]) -> None:
    start = rng.randrange(len(tokens) + 1)
    del tokens[start : start + rng.choice([1, 2, 4, 8])]


def _swap(tokens: list[bytes], rng: random.Random, words: Sequence[bytes]) -> None:
    if tokens:
        one, other = (rng.randrange(len(tokens)) for _ in range(2))
        tokens[one], tokens[other] = tokens[other], tokens[one]


def _member(tokens: list[bytes], rng: random.Random, words: Sequence[bytes]) -> None:
    """A member more at the beginning of an object."""
    places = [n for n, token in enumerate(tokens) if token == b"{"]
    keys = [token for token in [*tokens, *words] if token[:1] == b'"' and token.rstrip(b":")[-1:] == b'"']
    if places and keys:
        key = rng.choice(keys).rstrip(b":")
        tokens.insert(rng.choice(places) + 1, key + b":" + rng.choice(_VALUES) + b",")


def _byte(tokens: list[bytes], rng: random.Random, words: Sequence[bytes]) -> None:
    if tokens:
        at = rng.randrange(len(tokens))
        token = bytearray(tokens[at] or b"\0")
        token[rng.randrange(len(token))] = rng.randrange(256)
        tokens[at] = bytes(token)


_MILD: Final[Sequence[Change]] = (_value, _value, _member)
_CHANGES: Final[Sequence[Change]] = (_value, _value, _value, _word, _double, _cut, _swap, _member, _byte)
