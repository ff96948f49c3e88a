"""What a credential looks like, as data; checked where a message enters, never on relay.

The shapes are those that the services themselves document for their keys.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple


class Rule(NamedTuple):
    """A rule fires where `pattern` matches at a place of `needle`; the needle keeps it cheap."""

    name: str
    needle: str
    pattern: str


class Hit(NamedTuple):
    """Which rule fired and where, in characters from the start; never what was found."""

    rule: str
    offset: int


# What must not stand before: nothing matters, no letter or digit, or nothing that base64url has, since the
# short ones turn up in it by chance.
_ANY: Final = ""
_WORD: Final = r"(?<![A-Za-z0-9])"
_LONE: Final = r"(?<![A-Za-z0-9_-])"
_END: Final = r"(?![A-Za-z0-9])"

# Every repetition has an end: what a stranger wrote must not take long to be looked through.
_Shape = tuple[str, str, str, str]
# Each: the rule, what a key begins with, what must not stand before that, what follows.
_UNDERSCORED: Final[tuple[_Shape, ...]] = (
    ("github-token", "ghp_", _ANY, r"[A-Za-z0-9]{36}"),
    ("github-token", "gho_", _ANY, r"[A-Za-z0-9]{36}"),
    ("github-token", "ghu_", _ANY, r"[A-Za-z0-9]{36}"),
    ("github-token", "ghs_", _ANY, r"[A-Za-z0-9]{36}"),
    ("github-token", "ghr_", _ANY, r"[A-Za-z0-9]{36}"),
    ("github-fine-token", "github_pat_", _ANY, r"[A-Za-z0-9_]{60}"),
    ("stripe-key", "k_live_", r"(?<=[sr])", r"[0-9a-zA-Z]{20}"),
    ("webhook-secret", "whsec_", _LONE, r"[A-Za-z0-9+/]{30}"),
    ("npm-token", "npm_", _WORD, r"[A-Za-z0-9]{36}"),
    ("huggingface-token", "hf_", _LONE, r"[A-Za-z]{34}" + _END),
    ("digitalocean-token", "_v1_", r"(?<=do[por])", r"[a-f0-9]{64}"),
    ("shopify-token", "shp", _WORD, r"(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    ("grafana-token", "glsa_", _WORD, r"[A-Za-z0-9]{32}_[a-fA-F0-9]{8}"),
    ("linear-key", "lin_api_", _WORD, r"[A-Za-z0-9]{40}"),
    ("groq-key", "gsk_", _LONE, r"[A-Za-z0-9]{40}"),
)
_DASHED: Final[tuple[_Shape, ...]] = (
    ("age-key", "AGE-SECRET-KEY-1", _ANY, r"[0-9A-Z]{50}"),
    ("gitlab-token", "glpat-", _WORD, r"[A-Za-z0-9_-]{20}"),
    ("gitlab-token", "glrt-", _WORD, r"[A-Za-z0-9_-]{20}"),
    ("anthropic-key", "sk-ant-", _ANY, r"[A-Za-z0-9_-]{20}"),
    # Words with dashes between them are as long.
    ("openai-key", "sk-", _LONE, r"(?=[a-z_-]{0,60}[A-Z0-9])(?=[A-Za-z_-]{0,60}[0-9])[A-Za-z0-9_-]{40}"),
    ("slack-token", "xox", _WORD, r"[abeoprs]-[A-Za-z0-9-]{20}"),
    ("slack-token", "xapp-", _WORD, r"[0-9]-[A-Za-z0-9-]{20}"),
    ("google-secret", "GOCSPX-", _WORD, r"[A-Za-z0-9_-]{28}"),
    ("pypi-token", "pypi-AgEI", _ANY, r"[A-Za-z0-9_-]{50}"),
)
_OTHERS: Final[tuple[_Shape, ...]] = (
    ("private-key", "PuTTY-User-Key-File-", _ANY, r"[123]:"),
    ("aws-access-key", "AKIA", _WORD, r"[0-9A-Z]{16}" + _END),
    ("aws-session-key", "ASIA", _WORD, r"[0-9A-Z]{16}" + _END),
    ("slack-webhook", "hooks.slack.com/", _ANY, r"(?:services|workflows|triggers)/[A-Za-z0-9/_-]{30}"),
    ("discord-webhook", "/api/webhooks/", _ANY, r"[0-9]{15,22}/[A-Za-z0-9_-]{50}"),
    ("telegram-token", ":AA", r"(?<=[0-9]{8})", r"[A-Za-z0-9_-]{33}(?![A-Za-z0-9_-])"),
    ("google-api-key", "AIza", _WORD, r"[0-9A-Za-z_-]{35}"),
    ("google-token", "ya29.", _WORD, r"[A-Za-z0-9_-]{30}"),
    ("azure-key", "AccountKey=", _ANY, r"[A-Za-z0-9+/]{60}"),
    ("twilio-key", "SK", _LONE, r"[0-9a-f]{32}" + _END),
    ("sendgrid-key", "SG.", _WORD, r"[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{40}"),
    ("npm-token", "_authToken=", _ANY, r"(?![$\{<])[A-Za-z0-9_=+/-]{20}"),
    ("docker-token", "dckr_", _ANY, r"(?:pat|oat)_[A-Za-z0-9_-]{27}"),
    ("vault-token", "hvs.", _WORD, r"[A-Za-z0-9_-]{24}"),
    ("databricks-token", "dapi", _WORD, r"[a-f0-9]{32}"),
    ("atlassian-token", "ATATT3", _WORD, r"[A-Za-z0-9_=-]{50}"),
    # Two may be the end of %3D before it; in a run of its own beginnings only the first counts.
    ("jwt", "eyJ", r"(?<![A-Za-z0-9_-]{3})", r"[\w-]{16,1000}+\.eyJ[\w-]{16,4000}+\.[\w-]{16}"),
)
# These may hold a space, or be short.
_SPACED: Final[tuple[_Shape, ...]] = (
    ("private-key", "-----BEGIN ", _ANY, r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"),
    ("url-password", "://", _ANY, r"[^\s/:@?#\"']{0,64}:(?!passw(?:or)?d@|secret@)[^\s/@?#\"'$<{*]{6,128}@"),
)

# Behind a name and a sign, such as `API_KEY=`, `"password": "` or `secret := `.
_SIGN: Final = r"""(?:\\?["'])?\]?[ \t]{0,3}(?::=|=>|[:=])[ \t]{0,3}(?:\\?["'`])?"""
# Neither a variable nor a place where it is kept, nor a word with a number behind it, nor an example.
_NO_NAME: Final = (
    r"(?![$%<{(.]|/[a-z0-9_.-]+\b)(?![A-Za-z_.]++[0-9]{0,3}(?![A-Za-z0-9+/_.~!@#%^&*?=-]))"
    r"(?!https?:|arn:|op:|vault:|env:|ref\+|projects/)"
    r"(?![^\s\"']{0,60}(?i:example|changeme|change_me|placeholder|redacted|xxxx|\*\*\*|your))"
)
_VALUE: Final = r"[A-Za-z0-9+/_.~!@#%^&*?=-]"
# What nobody writes but as a password: small and capital letters and digits, or signs between them.
_MIXED: Final = rf"(?=[^\s\"']{{0,80}}[0-9])(?={_VALUE}{{0,80}}[a-z])(?={_VALUE}{{0,80}}[A-Z!@#%^&*?])"
_NOT_CALLED: Final = r"(?![(\[{<$])"


def _assigned(least: int, *, hexed: bool) -> str:
    """A value of `least` characters behind a name; with `hexed` also one in hex, as keys are."""
    mixed = rf"{_MIXED}{_VALUE}{{{least},256}}+{_NOT_CALLED}"
    either = rf"(?:{mixed}|[0-9a-f]{{32,128}}+{_END})" if hexed else mixed
    return _SIGN + _NO_NAME + either


_KEY_NAME: Final = r"(?i:[_-]?(?:access)?[_-]?key(?:[_-]?base)?)?"
_NAMED: Final = (
    # rule, parts of names, what else the name may have, the least length, whether hex counts
    ("assigned-password", ("assword", "ASSWORD", "asswd", "ASSWD"), "", 8, False),
    ("assigned-secret", ("ecret", "ECRET"), _KEY_NAME, 12, True),
    ("assigned-key", ("pi_key", "PI_KEY", "piKey", "pikey", "pi-key"), "", 16, True),
    ("assigned-key", ("ccess_key", "CCESS_KEY", "ccessKey"), "", 16, True),
    ("assigned-token", ("_token", "_TOKEN", "Token"), "", 20, False),
)
# Where to go on in a list is called a token, too.
_NO_PAGE: Final = r"(?<!next)(?<!page)(?<!ation)(?<!sync)(?<!csrf)"


_SCHEME: Final = r"(?:Bearer|bearer|Basic|basic|Token|token)[ ]"
_HEADER: Final = rf"{_SIGN}{_SCHEME}(?![$<{{])(?:{_MIXED}{_VALUE}{{16}}|[0-9a-f]{{32}})"


class _Group(NamedTuple):
    """Rules that need only be asked where `gate` says so of a text, or of the long words in it."""

    gate: Callable[[str], object]
    rules: tuple[Rule, ...]


def _keys(shapes: tuple[_Shape, ...]) -> tuple[Rule, ...]:
    return tuple(
        Rule(name, needle, before + re.escape(needle) + rest) for name, needle, before, rest in shapes
    )


def _named() -> Iterator[Rule]:
    for name, needles, more, least, hexed in _NAMED:
        before = _NO_PAGE if name == "assigned-token" else ""
        for needle in needles:
            pattern = before + re.escape(needle) + more + _assigned(least, hexed=hexed)
            yield Rule(name, needle, pattern)


def _has_name(text: str) -> bool:
    small = text.lower()
    return "assw" in small or "secret" in small or "token" in small or "key" in small


# Most texts have no word as long as a key, and most of those that have some have none with such a mark and
# as much behind it. A substring for each rule would cost five times as much.
LEAST: Final = 20
_OF_WORDS: Final = (
    _Group(re.compile(r"_[A-Za-z0-9]{16}").search, _keys(_UNDERSCORED)),
    _Group(re.compile(r"-[A-Za-z0-9_-]{20}").search, _keys(_DASHED)),
    _Group(len, _keys(_OTHERS)),
)
_OF_TEXT: Final = (
    _Group(len, _keys(_SPACED)),
    _Group(_has_name, tuple(_named())),
    _Group(
        len,
        (
            Rule("auth-header", "uthorization", "uthorization" + _HEADER),
            Rule("netrc-password", "login ", rf"login \S{{1,64}}\s{{1,9}}password {_VALUE}{{6}}"),
        ),
    ),
)
RULES: Final = tuple(rule for group in (*_OF_WORDS, *_OF_TEXT) for rule in group.rules)


def find(text: str) -> Hit | None:
    """Return the first rule that fires in `text`, or None."""
    words = "\n".join([word for word in text.split() if len(word) >= LEAST])
    for groups, looked_at in ((_OF_WORDS, words), (_OF_TEXT, text)):
        for group in groups:
            if group.gate(looked_at):
                for rule in group.rules:
                    if rule.needle in looked_at and (hit := _fires(rule, text)) is not None:
                        return hit
    return None


# All of them at once would take longer than the rest of a command's start; most are never needed.
_compiled: Final = functools.cache(re.compile)


def _fires(rule: Rule, text: str) -> Hit | None:
    pattern = _compiled(rule.pattern)
    at = text.find(rule.needle)
    while at >= 0:
        if pattern.match(text, at):
            return Hit(rule.name, at)
        at = text.find(rule.needle, at + 1)
    return None


# A file is looked through as far as this: a large one is hardly a file of passwords.
SCAN_BYTES: Final = 4 * 1024 * 1024
# No rule needs more of what came before.
_OVERLAP: Final = 8192


class Scan:
    """Looks for credentials in a file while it is read, as far as `SCAN_BYTES`, where it is text."""

    def __init__(self) -> None:
        self._before = ""
        self._done = 0
        self._ended = False

    @property
    def goes_on(self) -> bool:
        """Whether more of the file would be looked at."""
        return not self._ended and self._done < SCAN_BYTES

    def feed(self, chunk: bytes) -> Hit | None:
        """The first rule that fires in the bytes since the last call; the offset is in bytes of the file."""
        if self._done == 0 and b"\0" in chunk[:_OVERLAP]:
            self._ended = True
        if not self.goes_on:
            return None
        # A character for each byte, whatever they mean: credentials are ASCII.
        text = self._before + chunk[: SCAN_BYTES - self._done].decode("latin-1")
        hit = find(text)
        if hit is not None:
            return Hit(hit.rule, self._done - len(self._before) + hit.offset)
        self._done += len(chunk)
        self._before = text[-_OVERLAP:]
        return None
