"""What people write on GitHub by hand, read as a message."""

from __future__ import annotations

import pytest

from spool import issue_people
from spool.errors import SecretFound
from spool.issue_people import Origin

AT = "2025-11-13T10:30:45Z"


def origin(repository: str = "octocat/hello", *, comment: int = 0) -> Origin:
    """Where something was written."""
    return Origin(repository, 12, comment, "octocat", "https://github.example/octocat/hello/issues/12", AT)


@pytest.mark.parametrize(
    "title", ["[CHAT:LOCAL-TO-CLOUD] Hi", "[chat:local-to-cloud]Hi", " [CHAT:Local-To-Cloud]  Hi "]
)
def test_a_title_with_the_tag_is_mail(title: str) -> None:
    """However it is spelt."""
    written = issue_people.issue(title, "text")
    assert written is not None
    assert (written.tag, written.subject) == ("local-to-cloud", "Hi")


@pytest.mark.parametrize("title", ["Hi", "Re: [CHAT:LOCAL-TO-CLOUD] Hi", "[CHAT:] Hi", "[CHAT: x] Hi"])
def test_a_title_without_it_is_none(title: str) -> None:
    """An issue like any other."""
    assert issue_people.issue(title, "[CHAT:LOCAL-TO-CLOUD] in the body") is None


def test_a_comment_begins_with_its_tag() -> None:
    """Talk that mentions a tag is talk."""
    written = issue_people.comment("[CHAT:CLOUD-TO-LOCAL] Yes.\r\n\r\nMore.")
    assert written is not None
    assert (written.tag, written.subject, written.body) == ("cloud-to-local", "Yes.", "Yes.\n\nMore.")
    assert issue_people.comment("see [CHAT:CLOUD-TO-LOCAL]") is None


def test_the_lines_of_the_protocol_become_fields() -> None:
    """**Blocker:** and **Session:**, as its curl line has them; bold or not."""
    written = issue_people.issue(
        "[CHAT:LOCAL-TO-CLOUD] OCR",
        "It fails.\r\n\r\n**Blocker:** P1\r\n**Session:** Agent 1\r\nTo: claude-cloud",
    )
    assert written is not None
    message = issue_people.message(written, origin(), sender="me", to="you", re=None, max_bytes=10_000)
    assert (message.priority, message.type, message.context["session"]) == ("P1", "blocker", "Agent 1")
    assert written.lines["to"] == "claude-cloud"
    assert message.body.startswith("It fails.\n")


@pytest.mark.parametrize("line", ["**Blocker:** very much", "**Blocker:** P7", "**Type:** two words"])
def test_a_line_that_says_something_else_is_text(line: str) -> None:
    """Nothing of what people write is an error for that."""
    written = issue_people.issue("[CHAT:X] y", line)
    assert written is not None
    message = issue_people.message(written, origin(), sender="me", to="you", re=None, max_bytes=10_000)
    assert (message.priority, message.type) == ("P2", "message")


def test_the_id_is_of_the_place_alone() -> None:
    """An edit makes no second message; each comment is one of its own."""
    assert origin().id == "gh-octocat-hello-12"
    assert origin(comment=7).id == "gh-octocat-hello-12-c7"
    assert origin("Octocat/Hello").id == origin().id
    long = origin(f"{'o' * 39}/{'r' * 100}").id
    assert len(long) <= 128
    assert long.endswith("-12")


def test_the_id_and_the_time_do_not_count_in_the_hash() -> None:
    """They are what spool filled in, as for a file."""
    written = issue_people.issue("[CHAT:X] y", "z")
    assert written is not None
    message = issue_people.message(written, origin(), sender="me", to="you", re=None, max_bytes=10_000)
    assert {"id", "timestamp"} <= set(message.filled)
    assert message.timestamp == AT


def test_a_credential_is_not_taken_in() -> None:
    """As for files: what enters here is looked at here."""
    written = issue_people.issue("[CHAT:X] y", "key: AKIA" + "IOSFODNN7EXAMPLQ")
    assert written is not None
    with pytest.raises(SecretFound):
        issue_people.message(written, origin(), sender="me", to="you", re=None, max_bytes=10_000)
