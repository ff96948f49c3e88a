"""Small wrong changes of one SQL statement, each of which some test should notice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

CONTEXT: Final = 24
_TURNED: Final = {"<=": "<", ">=": ">", "<": "<=", ">": ">=", "=": "<>", "<>": "="}
_OPERAND: Final = r"(?:\?\d*|'[^']*'|[\w.]+\([^()]*\)|[\w.]+)"
_COMPARED: Final = re.compile(rf"({_OPERAND}) (<=|>=|<>|<|>|=) ({_OPERAND}(?: [-+] {_OPERAND})*)")
_LAST_WORD: Final = re.compile(r"\bSET\b|\bWHERE\b|\bWHEN\b|\bAND\b|\bOR\b|\bON\b|\bNOT\b|[,(]")
_LISTED: Final = re.compile(r"IN \(((?:'\w+'(?:, )?)+)\)")
_SET: Final = re.compile(r"\bSET (.*?)(?= WHERE | RETURNING |$)", re.DOTALL)
_ORDER: Final = re.compile(r"ORDER BY (.*?)(?= LIMIT|\)|$)", re.DOTALL)
_WORDS: Final = (
    (r"\bIS NULL", "IS NOT NULL"),
    (r"\bIS NOT NULL", "IS NULL"),
    (r"\bNOT EXISTS", "EXISTS"),
    (r"(?<!NOT )\bEXISTS \(", "NOT EXISTS ("),
    (r"\bNOT IN\b", "IN"),
    (r"(?<!NOT )\bIN \(", "NOT IN ("),
    (r"\bAND\b", "OR"),
    (r"\bOR\b(?! (REPLACE|IGNORE))", "AND"),
    (r"\bAND NOT (?=\w+\b(?! *\())", "AND "),
    (r"\bmin\(", "max("),
    (r"\bmax\(", "min("),
    (r"(?<=[\w)]) \+ (?=\d|\?)", " - "),
    (r"(?<=[\w)]) - (?=\d|\?)", " + "),
    (r"ifnull\([\w.]+, ((?:\?\d|[\w.]+))\)", r"\1"),
    (r"\bINSERT OR (REPLACE|IGNORE)\b", "INSERT"),
    (r"\bON CONFLICT(?: \([^()]*\))? DO NOTHING", ""),
    (r"\bDISTINCT ", ""),
    (r"\bUNION ALL\b", "UNION"),
    (r"\bLIMIT (\?\d?)", r"LIMIT \1 + 1"),
)


class Change(NamedTuple):
    """A statement as it is, and as it would be; `mark` says what was changed, with what stands around it."""

    mark: str
    sql: str


def changes(sql: str) -> Iterator[Change]:
    """Every change of a statement; some of them are no SQL."""
    yield from _comparisons(sql)
    yield from _words(sql)
    yield from _numbers(sql)
    yield from _lists(sql)
    yield from _assignments(sql)
    yield from _orders(sql)


def _changed(sql: str, start: int, end: int, new: str) -> Change:
    around = sql[max(0, start - CONTEXT) : start], sql[end : end + CONTEXT]
    return Change(f"{around[0]}[{sql[start:end]} -> {new}]{around[1]}", sql[:start] + new + sql[end:])


def _comparisons(sql: str) -> Iterator[Change]:
    for found in _COMPARED.finditer(sql):
        last = [word.group() for word in _LAST_WORD.finditer(sql, 0, found.start())]
        if found[2] == "=" and last and last[-1] in ("SET", ","):
            continue
        yield _changed(sql, found.start(2), found.end(2), _TURNED[found[2]])
        # What it binds stays, so that the statement takes the same values.
        yield _changed(sql, found.start(), found.end(), f"({found[0]} OR 1)")


def _words(sql: str) -> Iterator[Change]:
    for pattern, new in _WORDS:
        for found in re.finditer(pattern, sql):
            yield _changed(sql, found.start(), found.end(), found.expand(new))


def _numbers(sql: str) -> Iterator[Change]:
    for found in re.finditer(r"(?<![\w?'.])\d+(?![\w'])", sql):
        yield _changed(sql, found.start(), found.end(), str(int(found[0]) + 1))


def _lists(sql: str) -> Iterator[Change]:
    for found in _LISTED.finditer(sql):
        each = found[1].split(", ")
        for n in range(len(each)):
            kept = ", ".join(each[:n] + each[n + 1 :])
            yield _changed(sql, found.start(1), found.end(1), kept)


def _assignments(sql: str) -> Iterator[Change]:
    for found in _SET.finditer(sql):
        for start, end in _split(sql, found.start(1), found.end(1)):
            column, _, value = sql[start:end].partition(" = ")
            new = f"{column} = CASE WHEN 1 THEN {column.strip()} ELSE {value} END"
            yield _changed(sql, start, end, new)


def _orders(sql: str) -> Iterator[Change]:
    for found in _ORDER.finditer(sql):
        for start, end in _split(sql, found.start(1), found.end(1)):
            term = sql[start:end]
            new = term.removesuffix(" DESC") if term.endswith(" DESC") else f"{term} DESC"
            yield _changed(sql, start, end, new)
            yield _changed(sql, start, end, " 1 + 1")


def _split(sql: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts between commas that stand in no brackets."""
    depth = 0
    for n in range(start, end):
        depth += (sql[n] == "(") - (sql[n] == ")")
        if sql[n] == "," and depth == 0:
            yield start, n
            start = n + 1
    yield start, end
