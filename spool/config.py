"""spool.toml as frozen, checked values: this host and its peers."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec

from spool.errors import BadConfig, NotInitialised, UnknownPeer
from spool.message import MAX_BYTES, NAME, in_words

if TYPE_CHECKING:
    from spool.escalation_rules import Rules
    from spool.web_rules import Web

FILE: Final = "spool.toml"
# Six times that, if every character is escaped, still fits into a frame of a link.
MOST_BYTES: Final = 1024 * 1024
# The schemes of links, and of peers that have folders.
LINKS: Final = ("ssh", "exec")
FILES: Final = ("sftp", "dir")
# Of peers that are a repository's issues, and of web addresses.
ISSUES: Final = ("github",)
WEB: Final = ("https", "http")
KNOWN: Final = "ssh://, exec:, sftp://, dir:, github:// and https://"
_PATTERN: Final = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._*-]{0,63}")
_FOLDER: Final = re.compile(r"(/|~/)[^\0\r\n]*")
GITHUB: Final = "https://api.github.com"
# GitHub's own advice for polling without a webhook is more; what has not changed costs nothing there.
ISSUES_POLL_S: Final = 10.0
URGENT_POLL_S: Final = 30.0
_REPOSITORY: Final = re.compile(
    r"github://(?P<owner>[A-Za-z0-9][A-Za-z0-9_-]{0,38})/(?P<repo>[A-Za-z0-9._-]{1,100})/?"
)
_API: Final = re.compile(
    r"https://[^\s/?#@]+(/[^\s?#]*)?|http://(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(/[^\s?#]*)?"
)
_DIRECTION: Final = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")
_LABEL: Final = re.compile(r"[^,\x00-\x1f]{1,50}")
_LOGIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,38}(\[bot\])?(=[A-Za-z0-9][A-Za-z0-9._-]{0,63})?")
_AT: Final = re.compile(r" - at `\$\.?(.*?)`$")
# More than any disk has megabytes, or anybody waits seconds; what sleeps and what is stored take no more.
_MOST: Final = 1_000_000_000


class Host(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """This host: `[host]`. Times in seconds, sizes in the unit their name says."""

    name: str
    agents: list[str] = []
    relay: bool = True
    secrets: Literal["refuse", "ask"] = "refuse"
    max_message_bytes: int = MAX_BYTES
    low_water_mb: int = 64
    attachments_mb: int = 2048
    archive_after_s: float = 86_400.0
    lifetime_s: float = 7 * 86_400.0
    dedup_s: float = 30 * 86_400.0
    autostart: bool = False
    loop_turns: int = 16
    loop_window_s: float = 3600.0
    quota_minute: int = 0
    quota_waiting: int = 0
    quota_mb: int = 1024


class Peer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another host as this one knows it: `[peers.NAME]`. Without a url it dials us.

    `host_key` is the accepted key of an ssh host, as `ssh-ed25519 AAAA…`; without it
    known_hosts decides. `remote_command` starts the far spool where the usual places fail.
    A files peer has folders, named from its side: we write into `inbox` and take from `outbox`, look
    each `poll_s` seconds, and give what we write the octal `mode`; `acks` are written only on request.
    A github peer is read with a token that is named here and never written here; `direction` is what we
    write, `reads` what we take, each as `from-to`, and both are labels beside `label`. `logins` are whose
    issues and comments count, as `login` or `login=agent`.
    An https peer, or one that posts to us, shares a secret with this host, which is named here and never
    written here; `ca_file` is the authority of its certificate where the machine does not know it.
    The quotas are those of the host where they are not given; 0 is no limit.
    """

    name: str = ""
    url: str = ""
    agents: list[str] = []
    via: list[str] = []
    identity: Literal["spool", "user"] = "spool"
    remote_command: str = ""
    host_key: str = ""
    connect_timeout_s: float = 15.0
    inbox: str = ""
    outbox: str = ""
    acks: bool = False
    mode: str = "0600"
    poll_s: float = 5.0
    base_url: str = ""
    token_env: str = ""
    token_file: str = ""
    token_command: list[str] = []
    direction: str = ""
    reads: str = ""
    label: str = "claude-chat"
    logins: list[str] = []
    secret_file: str = ""
    secret_command: list[str] = []
    secret_env: str = ""
    ca_file: str = ""
    quota_minute: int | None = None
    quota_waiting: int | None = None
    quota_mb: int | None = None

    @property
    def scheme(self) -> str:
        """`ssh`, `exec`, `sftp`, `dir`, or the empty string for a peer that dials us."""
        return self.url.partition(":")[0]

    @property
    def is_files(self) -> bool:
        """Whether mail goes through folders, not over a link."""
        return self.scheme in FILES

    @property
    def is_issues(self) -> bool:
        """Whether mail goes through the issues of a repository."""
        return self.scheme in ISSUES

    @property
    def carries_files(self) -> bool:
        """Whether attachments can travel there."""
        return not (self.is_issues or self.is_web)

    @property
    def back(self) -> str:
        """What a github peer writes to us: `reads`, else `direction` the other way round."""
        here, to, there = self.direction.partition("-to-")
        return self.reads or (f"{there}-to-{here}" if to else "")

    @property
    def is_web(self) -> bool:
        """Whether mail is posted to a web address."""
        return self.scheme in WEB

    @property
    def may_send(self) -> tuple[str, ...]:
        """The patterns of the agents whose `from` this peer may carry."""
        return (*self.agents, *self.via)


class SshUrl(NamedTuple):
    """The parts of `ssh://[user@]host[:port]`; None where the url leaves it to ssh's config."""

    host: str
    user: str | None
    port: int | None


class _Peers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: Host
    peers: dict[str, Peer] = {}
    escalation: dict[str, Any] | None = None
    web: dict[str, Any] | None = None


class Config(msgspec.Struct, frozen=True):
    """The whole of spool.toml."""

    host: Host
    peers: dict[str, Peer]
    escalation: Rules | None = None
    web: Web | None = None

    def peer(self, name: str) -> Peer:
        """Return the peer called `name`.

        Raises:
            UnknownPeer: there is none; near names are in the message.
        """
        if (peer := self.peers.get(name)) is not None:
            return peer
        near = near_names(name, self.peers)
        raise UnknownPeer(f"no peer {name!r} here" + (f"; did you mean {near}?" if near else ""))


def load(home: Path) -> Config:
    """Read and check `home`/spool.toml.

    Raises:
        NotInitialised: there is no such file.
        BadConfig: it is not TOML, has an unknown key, or contradicts itself.
    """
    path = home / FILE
    try:
        return parse(path.read_text("utf-8"), where=str(path))
    except FileNotFoundError as exc:
        raise NotInitialised(f"no spool home at {home}") from exc
    except UnicodeDecodeError as exc:
        raise BadConfig(f"{path}: not UTF-8") from exc
    except OSError as exc:
        raise BadConfig(
            f"{path}: {exc.strerror}", hint="the user who runs spool must be able to read it"
        ) from exc


def parse(text: str, *, where: str = FILE) -> Config:
    """Read and check the text of a spool.toml; `where` names it in errors."""
    try:
        tree: dict[str, Any] = tomllib.loads(text)
        read = msgspec.convert(tree, _Peers)
        rules = None if read.escalation is None else _rules(read.escalation)
        web = None if read.web is None else _web(read.web)
    except msgspec.ValidationError as exc:
        at = _AT.search(str(exc))
        place = f"[{_place(at.group(1), tree)}] " if at and at.group(1) else ""
        problem = in_words(exc).replace("Object contains unknown field", "unknown key")
        raise BadConfig(f"{where}: {place}{problem}", hint="correct or remove that key") from exc
    except RecursionError as exc:
        raise BadConfig(f"{where}: nested too deeply", hint="no key holds more than a list") from exc
    except ValueError as exc:
        # Not always the reader's own error: int() has one of its own for thousands of digits.
        raise BadConfig(f"{where}: {exc}", hint="correct that line") from exc
    peers = {name: _named(name, peer, tree) for name, peer in read.peers.items()}
    return check(Config(read.host, peers, rules, web), where=where)


def _rules(given: dict[str, Any]) -> Rules:
    # Few homes have any: a `send` need not wait for the module.
    from spool import escalation_rules

    return escalation_rules.read(given)


def _web(given: dict[str, Any]) -> Web:
    from spool import web_rules

    return web_rules.read(given)


def _named(name: str, peer: Peer, tree: dict[str, Any]) -> Peer:
    """The peer under its name, with the pace of its kind where none is given."""
    if peer.is_issues and "poll_s" not in tree["peers"][name]:
        urgent = tree.get("escalation", {}).get("peer") == name
        return msgspec.structs.replace(peer, name=name, poll_s=URGENT_POLL_S if urgent else ISSUES_POLL_S)
    return msgspec.structs.replace(peer, name=name)


def _place(path: str, tree: dict[str, Any]) -> str:
    """Where in the file: msgspec does not say which peer it means."""
    if not path.startswith("peers[...]"):
        return path
    for name, values in tree["peers"].items():
        try:
            msgspec.convert(values, Peer)
        except msgspec.ValidationError:
            return path.replace("peers[...]", f"peers.{name}", 1)
    return path


def check(config: Config, *, where: str = FILE) -> Config:
    """Return the config if it does not contradict itself.

    Raises:
        BadConfig: the first thing that is wrong.
    """
    for problem in _problems(config):
        raise BadConfig(f"{where}: {problem}")
    return config


def parse_ssh(url: str) -> SshUrl:
    """Take `ssh://[user@]host[:port]` apart, or the same with `sftp://`.

    Raises:
        BadConfig: not such a url.
    """
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise BadConfig(f"{url}: {exc}", hint="write ssh://user@host:port") from exc
    host = parts.hostname or ""
    # urlsplit drops line ends and tabs in silence; a query would be dropped by us.
    rest = parts.path not in ("", "/") or parts.query or parts.fragment or parts.password is not None
    plain = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*|[0-9A-Fa-f:.]+", host)
    user_ok = parts.username is None or re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._@$-]*", parts.username)
    if (
        parts.scheme not in ("ssh", "sftp")
        or not plain
        or not user_ok
        or rest
        or port == 0
        or re.search(r"\s", url)
    ):
        raise BadConfig(
            f"{url}: not a url of the form {'sftp' if parts.scheme == 'sftp' else 'ssh'}://user@host:port",
            hint="user and port may be left out where ~/.ssh/config knows them",
        )
    # urlsplit lowers the host; an alias of ~/.ssh/config is case-sensitive.
    start = url.lower().find(
        host, len(f"{parts.scheme}://") + (len(parts.username) + 1 if parts.username else 0)
    )
    return SshUrl(url[start : start + len(host)], parts.username, port)


def parse_github(peer: Peer) -> tuple[str, str]:
    """The API's address and `owner/repo` of a github peer, `github://owner/repo`.

    Raises:
        BadConfig: not such a url, or an API that could be listened to.
    """
    place = _REPOSITORY.fullmatch(peer.url)
    if place is None or place["repo"] in (".", ".."):
        raise BadConfig(f"{peer.url}: not a url of the form github://owner/repo")
    base = (peer.base_url or GITHUB).rstrip("/")
    if not _API.fullmatch(base):
        raise BadConfig(
            f"base_url {base}: not https://",
            hint="a token must not travel in the clear; for Enterprise write https://HOST/api/v3",
        )
    return base, f"{place['owner']}/{place['repo']}"


def parse_exec(url: str) -> list[str]:
    """`exec:command arg …` as an argument list, split as a shell would; no shell runs it.

    Raises:
        BadConfig: nothing to run, or unbalanced quotes.
    """
    import shlex

    try:
        argv = shlex.split(url.removeprefix("exec:"))
    except ValueError as exc:
        raise BadConfig(f"{url}: {exc}") from exc
    if not argv:
        raise BadConfig(f"{url}: no command after exec:")
    return argv


def matches(pattern: str, name: str) -> bool:
    """Whether an agent's name fits a pattern; `*` stands for any run of characters."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == name
    # Not a regular expression: a peer's hello may hold a pattern that takes one for ever.
    *middle, last = rest
    at = len(first)
    for part in middle:
        if (found := name.find(part, at)) < 0:
            return False
        at = found + len(part)
    return name.startswith(first) and name.endswith(last) and at + len(last) <= len(name)


@functools.lru_cache(maxsize=10_000)
def overlap(one: str, other: str) -> bool:
    """Whether some name fits both patterns."""
    if not one or not other:
        return not (one + other).strip("*")
    if other[0] == "*" != one[0]:
        one, other = other, one
    if one[0] == "*":
        return overlap(one[1:], other) or overlap(one, other[1:])
    return one[0] == other[0] and overlap(one[1:], other[1:])


def is_pattern(text: str) -> bool:
    """Whether a text is an agent's name or a pattern of names."""
    return _PATTERN.fullmatch(text) is not None


def near_names(name: str, known: Iterator[str] | dict[str, Any] | list[str]) -> str:
    """Up to three known names that look like `name`, joined for a message."""
    import difflib

    return ", ".join(difflib.get_close_matches(name, list(dict.fromkeys(known)), n=3, cutoff=0.5))


def _problems(config: Config) -> Iterator[str]:
    if not NAME.fullmatch(config.host.name):
        yield f"[host] name: {config.host.name!r} is not a name (letters, digits, . _ -)"
    if not 1024 <= config.host.max_message_bytes <= MOST_BYTES:
        yield f"[host] max_message_bytes: from 1,024 to {MOST_BYTES:,}; put more into a file and name it"
    if config.host.loop_turns < 0 or config.host.loop_window_s <= 0:
        yield "[host] loop_turns: 0 (hold nothing) or more; loop_window_s: more than 0 seconds"
    if config.host.attachments_mb < 0:
        yield "[host] attachments_mb: 0 (take none) or more"
    yield from _bad_quotas("[host]", config.host)
    yield from _bad_values("[host]", config.host)
    yield from _bad_patterns("[host] agents", config.host.agents)
    claimed: list[tuple[str, str]] = []
    for peer in config.peers.values():
        at = f"[peers.{peer.name}]"
        if not NAME.fullmatch(peer.name):
            yield f"{at} is not a name (letters, digits, . _ -)"
        yield from _bad_patterns(f"{at} agents", peer.agents)
        yield from _bad_patterns(f"{at} via", peer.via)
        yield from _bad_url(at, peer)
        yield from _bad_web(at, peer)
        yield from _bad_quotas(at, peer)
        yield from _bad_values(at, peer)
        for pattern in peer.may_send:
            for local in config.host.agents:
                if overlap(pattern, local):
                    yield f"{at}: {pattern!r} covers {local!r}, an agent of this host"
            for theirs, name in claimed:
                if _tied(pattern, theirs):
                    both = repr(pattern) if pattern == theirs else f"{theirs!r} and {pattern!r}"
                    yield f"{both} stands under [peers.{name}] and {at}: one of them must go"
        claimed += [(pattern, peer.name) for pattern in peer.may_send]
    if config.escalation is not None:
        from spool import escalation_rules

        yield from escalation_rules.problems(config.escalation, config.peers)
    if config.web is not None:
        from spool import web_rules

        yield from web_rules.problems(config.web)
    yield from _shared_folders([peer for peer in config.peers.values() if peer.is_files])


def _bad_quotas(at: str, given: Host | Peer) -> Iterator[str]:
    for key in ("quota_minute", "quota_waiting", "quota_mb"):
        if (getattr(given, key) or 0) < 0:
            yield f"{at} {key}: 0 (no limit) or more"


def _bad_values(at: str, given: Host | Peer) -> Iterator[str]:
    for key, value in msgspec.structs.asdict(given).items():
        # Neither nan nor inf is between any two numbers.
        if isinstance(value, int | float) and not 0 <= value <= _MOST:
            yield f"{at} {key}: not a number from 0 to {_MOST:,}"
        elif isinstance(value, str) and "\0" in value:
            yield f"{at} {key}: a NUL character, which no program takes"


def _tied(one: str, other: str) -> bool:
    """Whether two patterns claim the same name with equal right: neither is exact or begins longer."""
    prefixes = [len(pattern.partition("*")[0]) for pattern in (one, other)]
    return one == other or (
        "*" in one and "*" in other and prefixes[0] == prefixes[1] and overlap(one, other)
    )


def _bad_patterns(where: str, patterns: list[str]) -> Iterator[str]:
    for pattern in patterns:
        if not is_pattern(pattern):
            yield f"{where}: {pattern!r} is not an agent's name or pattern"


def _bad_url(at: str, peer: Peer) -> Iterator[str]:
    try:
        match peer.scheme:
            case "":
                pass
            case "ssh":
                parse_ssh(peer.url)
            case "exec":
                parse_exec(peer.url)
            case "sftp":
                parse_ssh(peer.url)
                yield from _bad_folders(at, peer)
            case "dir":
                if peer.url != "dir:":
                    yield f"{at} url: {peer.url!r} is not dir: (its folders are named by inbox and outbox)"
                yield from _bad_folders(at, peer)
            case "github":
                parse_github(peer)
                yield from _bad_issues(at, peer)
            case "https" | "http":
                # Its secret and its certificate are looked at below.
                pass
            case other:
                yield f"{at} url: this version knows no {other}: peers (it knows {KNOWN})"
    except BadConfig as exc:
        yield f"{at} url: {exc}"


def _bad_web(at: str, peer: Peer) -> Iterator[str]:
    if peer.is_web or peer.secret_file or peer.secret_command or peer.secret_env:
        from spool import web_rules

        for problem in web_rules.problems_of(peer):
            yield f"{at} {problem}"


def _bad_issues(at: str, peer: Peer) -> Iterator[str]:
    # One that only carries escalations needs neither.
    wanted = bool(peer.may_send or peer.direction or peer.reads)
    if wanted and not _DIRECTION.fullmatch(peer.direction):
        yield f'{at} direction: {peer.direction!r} does not say what we write, such as "local-to-cloud"'
    elif wanted and not _DIRECTION.fullmatch(peer.back):
        yield f'{at} reads: {peer.reads!r} does not say what we take, such as "cloud-to-local"'
    elif wanted and peer.direction.lower() == peer.back.lower():
        yield f"{at}: direction and reads are the same: we would take what we wrote"
    if not _LABEL.fullmatch(peer.label):
        yield f"{at} label: {peer.label!r} is not a label (1 to 50 characters, no comma)"
    for login in peer.logins:
        if not _LOGIN.fullmatch(login):
            yield f"{at} logins: {login!r} is neither a login nor login=agent"
    named = [key for key in ("token_env", "token_file", "token_command") if getattr(peer, key)]
    if len(named) > 1:
        yield f"{at}: {' and '.join(named)}: one of them says where the token is"
    if peer.poll_s < 1:
        yield f"{at} poll_s: at least 1 second"


def _shared_folders(peers: list[Peer]) -> Iterator[str]:
    """What we take from must be one peer's alone: who may be spoken for there depends on whose it is."""
    taken = {(peer.url, peer.outbox.rstrip("/")): peer.name for peer in reversed(peers) if peer.outbox}
    for peer in peers:
        for key, folder in (("inbox", peer.inbox), ("outbox", peer.outbox)):
            other = taken.get((peer.url, folder.rstrip("/")), peer.name)
            if folder and other != peer.name:
                yield f"[peers.{peer.name}] {key}: {folder} is the outbox of [peers.{other}] too"


def _bad_folders(at: str, peer: Peer) -> Iterator[str]:
    for key in ("inbox", "outbox"):
        folder: str = getattr(peer, key)
        if folder and not _FOLDER.fullmatch(folder):
            yield f"{at} {key}: {folder!r} is neither an absolute path nor one that begins with ~/"
    if not peer.inbox and not peer.outbox:
        yield f"{at}: needs an inbox (we write there), an outbox (we take from there), or both"
    if peer.inbox and peer.inbox.rstrip("/") == peer.outbox.rstrip("/"):
        yield f"{at}: inbox and outbox are the same folder: we would take what we wrote"
    if not re.fullmatch(r"0?[0-7]{3}", peer.mode):
        yield f'{at} mode: {peer.mode!r} is not a mode in octal, such as "0640"'
    if peer.poll_s < 1:
        yield f"{at} poll_s: at least 1 second"
