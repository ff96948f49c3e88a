"""JSON texts as people and programs really write them: any spaces, escapes and order, for hypothesis."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

SPACE = st.sampled_from(["", "", " ", "\n", "\t", "\r\n", "\n  ", "\n\n    ", " \n\t", "  "])
WORDS = st.sampled_from(["a", "b", "hooks?", "Stop", 'qu"ote', "back\\slash", "ü", "\u2028", "{", "],", ""])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-5, 10**20), st.floats(-2, 2), WORDS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=8,
)
FOREIGN_HOOK = st.fixed_dictionaries(
    {"type": st.just("command"), "command": st.sampled_from(["echo hi", "/usr/bin/lint", "spoolx hook stop"])}
)
GROUPS = st.lists(st.fixed_dictionaries({"hooks": st.lists(FOREIGN_HOOK, max_size=2)}), max_size=2)
EVENTS = st.sampled_from(["SessionStart", "Stop", "PreToolUse", "SessionEnd"])


@st.composite
def documents(draw: st.DrawFn) -> str:
    """An object of anything, in any form."""
    value = draw(st.dictionaries(WORDS, VALUES, max_size=4))
    return draw(st.sampled_from(["", "\ufeff"])) + draw(written(value)) + draw(SPACE)


@st.composite
def settings_files(draw: st.DrawFn) -> str:
    """The same, as the settings of a client may be: with hooks and servers of others, or with none."""
    value: dict[str, Any] = draw(st.dictionaries(WORDS, VALUES, max_size=2))
    if draw(st.booleans()):
        value["hooks"] = draw(st.dictionaries(EVENTS, GROUPS, max_size=3))
    if draw(st.booleans()):
        value["mcpServers"] = draw(
            st.dictionaries(WORDS, st.fixed_dictionaries({"command": WORDS}), max_size=2)
        )
    keys = draw(st.permutations(list(value)))
    return draw(written({key: value[key] for key in keys})) + draw(SPACE)


@st.composite
def written(draw: st.DrawFn, value: Any) -> str:
    """A value as text, with spaces anywhere and some letters escaped."""

    def text(inner: Any) -> str:
        if isinstance(inner, dict):
            return _box("{}", [f"{text(key)}{draw(SPACE)}:{draw(SPACE)}{text(inner[key])}" for key in inner])
        if isinstance(inner, list):
            return _box("[]", [text(each) for each in inner])
        return json.dumps(inner, ensure_ascii=draw(st.booleans()))

    def _box(brackets: str, items: list[str]) -> str:
        body = ",".join(draw(SPACE) + item + draw(SPACE) for item in items) or draw(SPACE)
        return brackets[0] + body + brackets[1]

    return draw(SPACE) + text(value)
