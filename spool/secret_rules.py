"""What a credential looks like, as data; checked where a message enters, never on relay."""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class Rule(NamedTuple):
    """A rule fires where `needle` occurs and `pattern` matches; the needle keeps it cheap."""

    name: str
    needle: str
    pattern: re.Pattern[str]


class Hit(NamedTuple):
    """Which rule fired and where, in characters from the start; never what was found."""

    rule: str
    offset: int


RULES: Final = (
    Rule("private-key", "PRIVATE KEY", re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY( BLOCK)?-----")),
    Rule("aws-access-key", "AKIA", re.compile(r"(?<![A-Za-z0-9])AKIA[0-9A-Z]{16}(?![A-Za-z0-9])")),
    Rule("aws-session-key", "ASIA", re.compile(r"(?<![A-Za-z0-9])ASIA[0-9A-Z]{16}(?![A-Za-z0-9])")),
    Rule("github-token", "gh", re.compile(r"gh[pousr]_[A-Za-z0-9]{36,}")),
    Rule("github-fine-token", "github_pat_", re.compile(r"github_pat_[A-Za-z0-9_]{60,}")),
    Rule("gitlab-token", "glpat-", re.compile(r"(?<![A-Za-z0-9])glpat-[A-Za-z0-9_-]{20,}")),
    Rule("anthropic-key", "sk-ant-", re.compile(r"sk-ant-[A-Za-z0-9_-]{20,}")),
    Rule("openai-key", "sk-", re.compile(r"(?<![A-Za-z0-9])sk-(proj-|svcacct-)?[A-Za-z0-9_-]{40,}")),
    Rule("slack-token", "xox", re.compile(r"(?<![A-Za-z0-9])xox[abeoprs]-[A-Za-z0-9-]{20,}")),
    Rule("google-api-key", "AIza", re.compile(r"(?<![A-Za-z0-9])AIza[0-9A-Za-z_-]{35}")),
    Rule("stripe-key", "_live_", re.compile(r"(?<![A-Za-z0-9])[sr]k_live_[0-9a-zA-Z]{20,}")),
    Rule("npm-token", "npm_", re.compile(r"(?<![A-Za-z0-9])npm_[A-Za-z0-9]{36}")),
    Rule("pypi-token", "pypi-", re.compile(r"pypi-AgEI[A-Za-z0-9_-]{50,}")),
    Rule("url-password", "://", re.compile(r"://[^\s/:@?#\"']{1,64}:[^\s/@?#\"'$<{*]{6,128}@")),
    Rule("jwt", "eyJ", re.compile(r"eyJ[A-Za-z0-9_-]{16,}\.eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}")),
)


def find(text: str) -> Hit | None:
    """Return the first rule that fires in `text`, or None."""
    for rule in RULES:
        if rule.needle in text and (match := rule.pattern.search(text)):
            return Hit(rule.name, match.start())
    return None
