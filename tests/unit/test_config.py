"""spool.toml: what is a good one, and what the error says of a bad one."""

from __future__ import annotations

from pathlib import Path

import pytest

from spool import config
from spool.config import SshUrl, matches, overlap, parse, parse_exec, parse_ssh
from spool.errors import BadConfig, NotInitialised, UnknownPeer

GOOD = """
[host]
name = "laptop"
agents = ["claude-local"]
relay = false
archive_after_s = 3600

[peers.stackcp]
url = "ssh://stackcp"
agents = ["claude-cloud*"]
via = ["claude-desk*"]

[peers.desktop]
agents = ["build-bot"]

[peers.box]
url = "exec:docker exec -i box spool serve --peer laptop"
agents = ["box-agent"]
"""


def host(rest: str = "", agents: str = '["me"]') -> str:
    return f'[host]\nname = "here"\nagents = {agents}\n{rest}'


def problem(text: str) -> str:
    with pytest.raises(BadConfig) as caught:
        parse(text)
    return str(caught.value)


def test_a_good_config_is_read_whole() -> None:
    """Given values, defaults, and each peer with its name."""
    found = parse(GOOD)

    assert (found.host.name, found.host.agents, found.host.relay) == ("laptop", ["claude-local"], False)
    assert (found.host.archive_after_s, found.host.low_water_mb) == (3600.0, 64)
    assert list(found.peers) == ["stackcp", "desktop", "box"]
    assert found.peer("stackcp").may_send == ("claude-cloud*", "claude-desk*")
    assert [peer.name for peer in found.peers.values()] == list(found.peers)
    assert [peer.scheme for peer in found.peers.values()] == ["ssh", "", "exec"]


def test_a_host_alone_is_enough() -> None:
    """No agents and no peers yet."""
    assert parse('[host]\nname = "a"').peers == {}


@pytest.mark.parametrize(
    ("text", "key", "place"),
    [
        (host("agent = 1"), "agent", "[host]"),
        (host("[peers.p]\nurll = 'ssh://a'"), "urll", "[peers"),
        (host("[hosts]\nname = 'a'"), "hosts", ""),
    ],
)
def test_an_unknown_key_is_named(text: str, key: str, place: str) -> None:
    """A typing error must not pass for a default."""
    said = problem(text)

    assert f"unknown key `{key}`" in said and place in said
    assert "correct or remove" in said


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (host("relay = 'yes'"), "[host.relay]"),
        (host(agents='"me"'), "[host.agents]"),
        (host(agents="[1]"), "[host.agents[0]]"),
        (host("low_water_mb = 'much'"), "[host.low_water_mb]"),
        (host("secrets = 'allow'"), "[host.secrets]"),
        (host("[peers.p]\nidentity = 'mine'"), "identity]"),
        (host("[peers]\np = 'ssh://a'"), "[peers"),
        ("[host]\nagents = []", "[host]"),
        ("", "`host`"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(text: str, place: str) -> None:
    """With its place."""
    assert place in problem(text)


def test_a_line_that_is_not_toml_is_named() -> None:
    """By its number."""
    assert "line 4" in problem(host("relay = maybe"))


@pytest.mark.parametrize("name", ["", "a b", "-a", "a/b", "x" * 65, "a*"])
def test_a_host_has_a_plain_name(name: str) -> None:
    """It stands in addresses and file names."""
    assert "is not a name" in problem(f'[host]\nname = "{name}"')


def test_a_peer_has_a_plain_name() -> None:
    """It stands in a command line on the far host."""
    assert "[peers.a b] is not a name" in problem(host('[peers."a b"]'))


@pytest.mark.parametrize("pattern", ["", "a b", "-a", "a@b", "a/*", "é"])
@pytest.mark.parametrize("where", ["agents", "via"])
def test_patterns_are_names_with_stars(pattern: str, where: str) -> None:
    """The error names which list it stands in."""
    said = problem(host(f'[peers.p]\n{where} = ["{pattern}"]'))

    assert f"[peers.p] {where}: {pattern!r} is not an agent's name or pattern" in said


@pytest.mark.parametrize(
    ("one", "other", "named"),
    [
        ("x", "x", "'x'"),
        ("x*", "x*", "'x*'"),
        ("x*", "x*y", "'x*' and 'x*y'"),
        ("x*a*", "x*b*", "'x*a*' and 'x*b*'"),
        ("*", "*-bot", "'*' and '*-bot'"),
    ],
)
@pytest.mark.parametrize("where", ["agents", "via"])
def test_a_tie_between_peers_is_refused(one: str, other: str, named: str, where: str) -> None:
    """Two patterns with the same right to a name: nobody could say where its mail goes."""
    said = problem(host(f'[peers.a]\nagents = ["{one}"]\n[peers.b]\n{where} = ["{other}"]', agents="[]"))

    assert f"{named} stands under [peers.a] and [peers.b]" in said


@pytest.mark.parametrize(("one", "other"), [("x*", "xy*"), ("x*", "xy"), ("x*a", "x*b"), ("x*y", "xyz")])
def test_what_is_no_tie_is_allowed(one: str, other: str) -> None:
    """An exact name or a longer beginning wins; patterns without a name in common never meet."""
    assert parse(host(f'[peers.a]\nagents = ["{one}"]\n[peers.b]\nagents = ["{other}"]')).peers


def test_one_peer_may_say_the_same_twice() -> None:
    """There is no doubt whose it is."""
    assert parse(host('[peers.a]\nagents = ["x*", "x*y"]\nvia = ["x*"]')).peers


@pytest.mark.parametrize(
    ("local", "pattern"),
    [("me", "me"), ("me", "m*"), ("me", "*"), ("me-*", "me*"), ("me*", "me-2"), ("*-me", "a*")],
)
@pytest.mark.parametrize("where", ["agents", "via"])
def test_a_peer_may_not_cover_a_local_agent(local: str, pattern: str, where: str) -> None:
    """It could speak in the name of an agent of this host."""
    said = problem(host(f'[peers.p]\n{where} = ["{pattern}"]', agents=f'["{local}"]'))

    assert f"[peers.p]: {pattern!r} covers {local!r}, an agent of this host" in said


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("a", "a", True),
        ("a", "ab", False),
        ("a*", "a", True),
        ("a*c", "abbc", True),
        ("a*c", "abcd", False),
        ("*", "x", True),
        ("a.c", "abc", False),
        ("*b*", "abc", True),
        ("A*", "abc", False),
    ],
)
def test_patterns(pattern: str, name: str, fits: bool) -> None:
    """A star is any run of characters; a dot is a dot."""
    assert matches(pattern, name) is fits
    assert overlap(pattern, name) is fits is overlap(name, pattern)


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("a*", "*b", True),
        ("a*b", "ab*", True),
        ("a*x", "a*y", False),
        ("*a*", "b*", True),
        ("a*", "b*", False),
    ],
)
def test_patterns_that_meet(one: str, other: str, meet: bool) -> None:
    """Some name fits both."""
    assert overlap(one, other) is meet is overlap(other, one)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("ssh://stackcp", ("stackcp", None, None)),
        ("ssh://StackCP", ("StackCP", None, None)),
        ("ssh://Bob@Bob", ("Bob", "Bob", None)),
        ("ssh://bob@Box.example:2222", ("Box.example", "bob", 2222)),
        ("ssh://bob@box/", ("box", "bob", None)),
        ("ssh://box:", ("box", None, None)),
        ("ssh://[::1]", ("::1", None, None)),
        ("ssh://bob@[2001:DB8::7]:2222", ("2001:DB8::7", "bob", 2222)),
        ("ssh://10.0.0.1:22", ("10.0.0.1", None, 22)),
        ("ssh://me@corp.example@box", ("box", "me@corp.example", None)),
        ("ssh://my_host-1.a", ("my_host-1.a", None, None)),
        ("ssh://s@ss", ("ss", "s", None)),
    ],
)
def test_ssh_urls(url: str, parts: tuple[str, str | None, int | None]) -> None:
    """The case of an alias is kept: ~/.ssh/config tells it apart."""
    assert parse_ssh(url) == SshUrl(*parts)


@pytest.mark.parametrize(
    "url",
    [
        "ssh://",
        "ssh:box",
        "http://box",
        "ssh://-oProxyCommand=x",
        "ssh://-l@box",
        "ssh://bob:secret@box",
        "ssh://bob:@box",
        "ssh://box/path",
        "ssh://box?x=1",
        "ssh://box#x",
        "ssh://box:0",
        "ssh://box:99999",
        "ssh://box:x",
        "ssh://bo x",
        "ssh://bo\nx",
        "ssh://bo\tx",
        "ssh://box;id",
        "ssh://$(id)",
        "ssh://[::1",
        "ssh://::1",
        "ssh://b`id`@box",
        "ssh://bücher",
    ],
)
def test_bad_ssh_urls(url: str) -> None:
    """Nothing that ssh or a shell would take for something else."""
    with pytest.raises(BadConfig):
        parse_ssh(url)
    escaped = url.replace("\n", "\\n").replace("\t", "\\t")
    assert "[peers.p] url: " in problem(host(f'[peers.p]\nurl = "{escaped}"'))


def test_an_exec_url_is_split_as_a_shell_would() -> None:
    """And no shell runs it: what looks like one is an argument."""
    assert parse_exec('exec:ssh \'a b\' "c\\"d" e\\ f; $HOME') == ["ssh", "a b", 'c"d', "e f;", "$HOME"]


@pytest.mark.parametrize("url", ["exec:", "exec:  ", "exec:'open"])
def test_bad_exec_urls(url: str) -> None:
    """Nothing to run, or a quote that does not close."""
    assert "[peers.p] url: " in problem(host(f'[peers.p]\nurl = "{url}"'))


def test_an_unknown_transport_is_named() -> None:
    """With those there are."""
    assert "knows no gopher: peers (it knows ssh://" in problem(host('[peers.p]\nurl = "gopher://x"'))


def test_an_unknown_peer_is_an_error_with_near_names() -> None:
    """A typing error is the usual reason."""
    with pytest.raises(UnknownPeer, match="no peer 'stakcp' here; did you mean stackcp"):
        parse(GOOD).peer("stakcp")


def test_a_missing_file_says_there_is_no_home(tmp_path: Path) -> None:
    """And what to do."""
    with pytest.raises(NotInitialised, match=f"no spool home at {tmp_path}; run `spool init`"):
        config.load(tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[host]\nname = 1\n"])
def test_a_bad_file_is_named(tmp_path: Path, content: bytes) -> None:
    """The path stands in the error."""
    (tmp_path / config.FILE).write_bytes(content)

    with pytest.raises(BadConfig, match=str(tmp_path / config.FILE)):
        config.load(tmp_path)


def test_a_folder_in_its_place_is_a_bad_config(tmp_path: Path) -> None:
    """Not a traceback."""
    (tmp_path / config.FILE).mkdir()

    with pytest.raises(BadConfig, match="Is a directory"):
        config.load(tmp_path)


def folders(one: dict[str, str], other: dict[str, str]) -> str:
    """A config with two files peers that have these folders."""
    lines = ['[host]\nname = "h"']
    for name, values in (("one", one), ("other", other)):
        lines.append(f'[peers.{name}]\nagents = ["{name}"]')
        lines += [f'{key} = "{value}"' for key, value in {"url": "dir:", **values}.items()]
    return "\n".join(lines)


@pytest.mark.parametrize("key", ["inbox", "outbox"])
def test_what_is_taken_from_is_one_peers_alone(key: str) -> None:
    """Mail of the one would be judged as the other's, or ours taken back for received."""
    with pytest.raises(BadConfig, match=f"{key}: /a/b/? is the outbox of"):
        config.parse(folders({"outbox": "/a/b", "inbox": "/a/x"}, {key: "/a/b/"}))


def test_two_peers_may_read_in_one_folder() -> None:
    """And folders of the same name on two hosts are two."""
    config.parse(folders({"inbox": "/a"}, {"inbox": "/a"}))
    config.parse(folders({"url": "sftp://h1", "outbox": "~/a"}, {"url": "sftp://h2", "outbox": "~/a"}))
