"""What people write on GitHub by hand, read as a message."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final, NamedTuple

import msgspec

from spool.message import ID, NAME, Message, seal

_TAG: Final = re.compile(r"\s*\[CHAT:([A-Za-z0-9._-]{1,64})\]\s*", re.IGNORECASE)
_LINE: Final = re.compile(r"\s*(?:\*\*)?(To|Blocker|Session|Type):(?:\*\*)?(.+)", re.IGNORECASE)
_PRIORITY: Final = re.compile(r"P[0-3]")


class Written(NamedTuple):
    """An issue or comment with the tag, before it is known who is meant.

    `tag` is in lower case; `lines` are those like **To:** and **Session:**, by their names in lower case.
    """

    tag: str
    subject: str
    body: str
    lines: dict[str, str]


class Origin(NamedTuple):
    """Where it was written, by whom, and when (RFC 3339)."""

    repository: str
    number: int
    comment: int
    login: str
    url: str
    at: str

    @property
    def id(self) -> str:
        """The message's id: of the place alone, so that an edit makes no second message."""
        spot = f"{self.number}-c{self.comment}" if self.comment else f"{self.number}"
        whole = f"gh-{self.repository.replace('/', '-').lower()}-{spot}"
        if ID.fullmatch(whole):
            return whole
        return f"gh-{hashlib.sha256(self.repository.lower().encode()).hexdigest()[:16]}-{spot}"


def tag_of(text: str) -> str | None:
    """The tag that a title or a comment begins with, in lower case; None without one."""
    found = _TAG.match(text)
    return found[1].lower() if found else None


def issue(title: str, body: str) -> Written | None:
    """An issue written by hand; None where its title has no tag."""
    if (found := _TAG.match(title)) is None:
        return None
    return Written(found[1].lower(), title[found.end() :].strip(), _text(body), _lines(body))


def comment(body: str) -> Written | None:
    """A comment written by hand; None where it does not begin with a tag."""
    if (found := _TAG.match(body)) is None:
        return None
    rest = _text(body[found.end() :])
    return Written(found[1].lower(), rest.strip().partition("\n")[0][:200], rest, _lines(rest))


def message(
    written: Written, origin: Origin, *, sender: str, to: str, re: str | None, max_bytes: int
) -> Message:
    """The message that a person wrote.

    Raises:
        BadMessage, TooLarge, SecretFound: it cannot be one.
    """
    context = {"url": origin.url, "login": origin.login}
    if session := written.lines.get("session"):
        context["session"] = session[:200]
    given: dict[str, Any] = {"from": sender, "to": to, "subject": written.subject, "body": written.body}
    blocker = written.lines.get("blocker", "").upper()
    if _PRIORITY.fullmatch(blocker):
        given |= {"priority": blocker, "type": "blocker"}
    elif NAME.fullmatch(kind := written.lines.get("type", "")):
        given["type"] = kind
    if re is not None:
        given["re"] = re
    raw = msgspec.json.encode({**given, "context": context})
    return seal(raw, id=origin.id, timestamp=origin.at, max_bytes=max_bytes)


def _text(body: str) -> str:
    return body.replace("\r\n", "\n").strip()


def _lines(body: str) -> dict[str, str]:
    found = (_LINE.fullmatch(line) for line in body.replace("\r\n", "\n").split("\n")[:200])
    named = [(each[1].lower(), each[2].strip()) for each in found if each is not None]
    return {name: value for name, value in reversed(named) if value}
