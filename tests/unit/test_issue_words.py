"""What people see of a message on GitHub, and what spool reads there: nothing of a message can act."""

from __future__ import annotations

import json
import re

import pytest

from spool import issue_blocks, issue_words
from spool.issue_blocks import Block, Broken, Marker
from spool.issue_words import TooLong
from spool.message import Ack, Message, seal

MARKER = Marker("message", "laptop", "me", "m1")
HOSTILE = [
    "@team look at #123, GH-7 and octocat/repo#9; fixes #1",
    "</details></td><script>alert(1)</script><img src=x onerror=y>",
    "```\nout of the fence @team\n```\n````\nand again\n````",
    "~~~~\n<!-- spool message stackcp you m2 -->\n~~~~",
    '```json\n{"spool":1,"host":"laptop","m":{"from":"root"}}\n```\n<!-- spool message laptop me m9 -->',
    "\u202eRTL\u2066 and \u200bno width\u0007bell\x00",
    "> quoted\r\n> lines\r\n\r\n    indented\r",
    "https://evil.example/?q=[x](javascript:y) www.evil.example :rocket: deadbeefdeadbeef",
]


def made(body: str = "", **more: object) -> Message:
    """A message."""
    given = {"from": "me", "to": "you", "subject": "Hello", "body": body or "text", **more}
    return seal(given, id="m1", timestamp="2025-11-13T10:30:45Z", allow_secrets=True)


def posted(message: Message) -> str:
    """It as the body of an issue."""
    line = issue_blocks.of_message(message.raw, host="laptop", way="a-to-b", ttl_s=60.0)
    return issue_words.post(message, line, MARKER)


def outside_code(text: str) -> str:
    """What of Markdown is neither in a fenced block nor in a span of code."""
    kept: list[str] = []
    fence = ""
    for line in text.split("\n"):
        found = re.match(r"(`{3,})", line)
        if not fence and found:
            fence = found[1]
        elif fence and re.fullmatch(f"{fence}`*", line.rstrip()):
            fence = ""
        elif not fence:
            kept.append(line)
    assert not fence, "a fence that nothing ends"
    return re.sub(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", "\n".join(kept))


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_of_a_text_acts(text: str) -> None:
    """Whatever stands in a message: mentions, references and HTML of it are code on GitHub."""
    message = made(text, citation=f"if://{text}"[:200], context={"session": text}, type="blocker")
    left = outside_code(posted(message)).replace(str(MARKER), "")
    assert not re.search(r"[@#<>\[\]]|GH-|://", left)


@pytest.mark.parametrize("text", HOSTILE)
def test_the_message_comes_back_byte_for_byte(text: str) -> None:
    """Its hash was made of those bytes; and a marker within its text is not believed."""
    message = made(text, context={"quoted": text})
    found = issue_blocks.find(posted(message))
    assert found is not None
    marker, block = found
    assert marker == MARKER
    assert isinstance(block, Block)
    assert block.raw == message.raw


def test_a_web_form_changes_line_ends_and_nothing_else() -> None:
    """GitHub's own editor writes CRLF; a message whose JSON has line breaks stays as it was."""
    raw = json.dumps({"from": "me", "to": "you", "subject": "x"}, indent=2).encode()
    message = seal(raw, id="m1", timestamp="2025-11-13T10:30:45Z")
    found = issue_blocks.find(posted(message).replace("\n", "\r\n"))
    assert found is not None
    assert isinstance(found[1], Block)
    assert found[1].raw == message.raw


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('"host": "laptop"', '"host": "desktop"'),
        lambda text: text.replace("```json\n", "```json\n\n"),
        lambda text: re.sub(r'"spool": 1.*', "[" * 10_000, text),
        lambda text: re.sub(r'"spool": 1.*', "{} trailing", text),
    ],
)
def test_a_changed_block_is_broken_and_not_a_message(change: object) -> None:
    """It is quarantined by whoever reads it."""
    assert callable(change)
    found = issue_blocks.find(change(posted(made())))
    assert found is not None
    assert isinstance(found[1], Broken)


def test_words_that_are_words_stay_as_they_are() -> None:
    """As the scripts write them: **Session:** Agent 1 - Photo Inventory."""
    text = posted(made(context={"session": "Agent 1 - Photo Inventory"}, type="blocker", priority="P1"))
    assert "**Session:** Agent 1 - Photo Inventory" in text.split("\n")
    assert "**Blocker:** P1" in text.split("\n")
    assert "**Citation:** `if://conversation/m1`" in text.split("\n")


def test_only_a_blocker_has_the_line_for_it() -> None:
    """Priority alone says no such thing."""
    assert "**Blocker:**" not in posted(made(priority="P0"))


@pytest.mark.parametrize("name", ["GH-123", "deadbeef", "agent-gh-12", "a.b", "x@host", "0abc"])
def test_a_name_that_could_be_something_else_is_code(name: str) -> None:
    """A reference to issue 123 is a valid agent's name."""
    assert issue_words.name(name) == f"`{name}`"


def test_a_title_is_one_line_in_which_nothing_refers() -> None:
    """GitHub shows titles in lists and mails; `[CHAT:...]` begins it."""
    text = issue_words.title("local-to-cloud", "see @team\nand #12\u202e", "body")
    assert text == "[CHAT:LOCAL-TO-CLOUD] see @\u200bteam and #\u200b12[U+202E]"
    assert len(issue_words.title("x", "y" * 1000, "")) == issue_words.MAX_TITLE
    assert issue_words.title("x", "", "first line\nsecond") == "[CHAT:X] first line"


def test_a_long_text_is_cut_for_people_and_whole_for_spool() -> None:
    """The block holds all of it."""
    message = made("word " * 8_000)
    text = posted(message)
    found = issue_blocks.find(text)
    assert found is not None
    assert isinstance(found[1], Block)
    assert found[1].raw == message.raw
    assert "cut here" in text
    assert len(text) < 65_536


def test_what_github_does_not_take_is_too_long() -> None:
    """Better said here than cut there."""
    with pytest.raises(TooLong, match="65,000 characters"):
        posted(made("x" * 66_000))


def test_acks_are_a_line_each_and_a_block() -> None:
    """The newest word of each message for people, all of them for spool; a note acts as little as a text."""
    read = Ack(sender="you", to="me", re="m1", status="read", at=5.0, host="stackcp")
    done = Ack(sender="you", to="me", re="m1", status="done", at=6.0, host="stackcp", note="see @team #1")
    text, kept = issue_words.acks([read, done], host="stackcp")
    assert kept == [read, done]
    assert "- `m1` done (you, 1970-01-01T00:00:06Z): `see @team #1`" in text.split("\n")
    found = issue_blocks.find(text)
    assert found is not None
    assert isinstance(found[1], Block)
    assert found[1].acks == [read, done]
    assert not re.search("[@#]", outside_code(text))


def test_the_newest_acks_are_kept_where_not_all_fit() -> None:
    """An issue may go on for ever."""
    many = [Ack(sender="you", to="me", re=f"m{n}", status="done", note="x" * 300) for n in range(1000)]
    text, kept = issue_words.acks(many, host="stackcp")
    assert len(text) <= issue_words.LIMIT
    assert kept[-1] == many[-1]
    assert len(kept) > 50
