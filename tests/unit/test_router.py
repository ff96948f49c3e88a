"""Where an address lies, and who may speak in whose name."""

from __future__ import annotations

import pytest

from spool.config import Config, Peer, matches, parse
from spool.errors import BadMessage, NoRoute
from spool.router import Route, Router
from spool.store.base import PeerRow

CONFIG = parse("""
[host]
name = "laptop"
agents = ["me", "local-*"]

[peers.cloud]
url = "ssh://cloud"
agents = ["claude-*", "claude-cloud-agent-1"]
via = ["far-*"]

[peers.desk]
agents = ["claude-desk*"]

[peers.new]

[peers.newer]
""")


def router(**rows: PeerRow) -> Router:
    return Router(CONFIG, {name: row for name, row in rows.items()})


def told(name: str, *agents: str, far_host: str | None = None) -> PeerRow:
    return PeerRow(name=name, far_agents=list(agents), far_host=far_host)


def peer(name: str, config: Config = CONFIG) -> Peer:
    return config.peer(name)


@pytest.mark.parametrize("agent", ["me", "local-1"])
def test_local_agents_come_first(agent: str) -> None:
    """By name or by pattern."""
    assert router().resolve(agent) == Route("", agent)
    assert router().is_local(agent)


@pytest.mark.parametrize(
    ("agent", "where"),
    [
        ("claude-cloud-agent-1", "cloud"),
        ("claude-desk-1", "desk"),
        ("claude-desk", "desk"),
        ("claude-des", "cloud"),
        ("claude-x", "cloud"),
        ("far-1", "cloud"),
    ],
)
def test_the_most_exact_wins(agent: str, where: str) -> None:
    """An exact name, then the longest beginning before the star; via counts as agents do."""
    assert router().resolve(agent) == Route(where, agent)


@pytest.mark.parametrize("pattern", ["claude-cloud-age*", "claude-cloud-agent*"])
def test_an_exact_name_beats_any_beginning(pattern: str) -> None:
    """Also one that is as long. Whatever the order in the file."""
    peers = [f'[peers.a]\nagents=["{pattern}"]', '[peers.b]\nagents=["claude-cloud-agent"]']
    for order in (peers, peers[::-1]):
        config = parse("\n".join(['[host]\nname="h"', *order]))
        assert Router(config, {}).resolve("claude-cloud-agent").peer == "b"


def test_a_star_in_the_middle_counts_up_to_the_star() -> None:
    """The literal prefix, as the design says."""
    config = parse('[host]\nname="h"\n[peers.a]\nagents=["x*-long-ending"]\n[peers.b]\nagents=["xy*"]')

    assert Router(config, {}).resolve("xyz-long-ending").peer == "b"


def test_nobodys_address_is_refused_with_near_names() -> None:
    """Of agents here, and of those at peers."""
    with pytest.raises(NoRoute, match=r"nobody here or on a peer is called 'local-.*"):
        Router(parse('[host]\nname="h"\nagents=["me"]'), {}).resolve("local-1")
    with pytest.raises(NoRoute, match="near: far-"):
        router().resolve("fax-1")
    with pytest.raises(NoRoute, match=r"near: .*me"):
        router().resolve("mee")


def test_nobody_is_near_to_a_strange_name() -> None:
    """Then the error does not guess."""
    with pytest.raises(NoRoute) as caught:
        router().resolve("zzzzzzzz")
    assert "near" not in caught.value.message


@pytest.mark.parametrize("to", ["", "@", "a@", "@b", "a b", "a@b@c", "*", "far-*"])
def test_what_is_no_address(to: str) -> None:
    """A pattern is none: a message has one recipient."""
    with pytest.raises(BadMessage):
        router().resolve(to)


def test_an_agent_at_this_host() -> None:
    """By this host's own name."""
    assert router().resolve("me@laptop") == Route("", "me")
    with pytest.raises(NoRoute, match="'claude-desk' does not read on this host"):
        router().resolve("claude-desk@laptop")


def test_an_agent_at_a_peer() -> None:
    """By the name of the peer, or by the name which the far host gave itself."""
    routes = router(desk=told("desk", far_host="tower"))

    assert routes.resolve("any@cloud") == Route("cloud", "any")
    assert routes.resolve("any@desk") == routes.resolve("any@tower") == Route("desk", "any")


def test_a_name_that_is_local_may_be_asked_for_at_a_peer() -> None:
    """That is what the host in an address is for."""
    assert router().resolve("me@cloud") == Route("cloud", "me")


def test_an_unknown_host_is_refused_with_near_names() -> None:
    """Peers and far hosts alike."""
    with pytest.raises(NoRoute, match=r"no peer is or has the host 'towr'; near: tower"):
        router(desk=told("desk", far_host="tower")).resolve("me@towr")


def test_two_peers_that_call_themselves_alike_are_not_guessed_between() -> None:
    """One of them is not who it says; `agent@peer` still works."""
    routes = router(desk=told("desk", far_host="tower"), cloud=told("cloud", far_host="tower"))

    with pytest.raises(NoRoute, match="cloud and desk both say"):
        routes.resolve("any@tower")
    assert routes.resolve("any@desk").peer == "desk"


def test_a_peers_name_beats_what_another_calls_itself() -> None:
    """A far host cannot take over a name that this host gave."""
    assert router(new=told("new", far_host="desk")).resolve("any@desk").peer == "desk"


def test_what_a_peer_that_left_called_itself_is_forgotten() -> None:
    """Its row may outlive its table in the config."""
    with pytest.raises(NoRoute):
        router(gone=told("gone", far_host="old")).resolve("any@old")


@pytest.mark.parametrize(
    ("name", "sender", "may"),
    [
        ("cloud", "claude-x", True),
        ("cloud", "far-1", True),
        ("cloud", "me", False),
        ("cloud", "local-1", False),
        ("cloud", "stranger", False),
        ("desk", "claude-desk-1", True),
        ("desk", "claude-cloud-agent-1", False),
        ("desk", "far-1", False),
        ("new", "anybody", False),
    ],
)
def test_whom_a_peer_may_speak_for(name: str, sender: str, may: bool) -> None:
    """Its agents and those reached through it."""
    assert router().may_speak(peer(name), sender) is may


def test_a_peer_without_agents_has_those_it_names() -> None:
    """They can be reached there and may write from there."""
    routes = router(new=told("new", "fresh-1", "fresh-2"))

    assert routes.resolve("fresh-1") == Route("new", "fresh-1")
    assert routes.may_speak(peer("new"), "fresh-2")
    assert routes.agents_of(peer("new")) == ("fresh-1", "fresh-2")
    assert not routes.may_speak(peer("desk"), "fresh-1")


def test_a_peer_with_agents_cannot_name_more() -> None:
    """The config says who lives there."""
    routes = router(desk=told("desk", "fresh-1"))

    assert not routes.may_speak(peer("desk"), "fresh-1")
    with pytest.raises(NoRoute):
        routes.resolve("fresh-1")


@pytest.mark.parametrize(
    "name",
    [
        "me",
        "m*",
        "local-1",
        "local-*",
        "l*",
        "*",
        "claude-*",
        "claude-cloud-agent-1",
        "claude-desk-7",
        "claude-desk-*",
        "claude-x",
        "far-1",
        "f*",
        "*-1",
        "",
        "a b",
        "a/b",
        "x" * 65,
    ],
)
def test_a_peer_cannot_talk_itself_into_anothers_name(name: str) -> None:
    """By what its hello says: not by the name, not by a pattern over it, not by a part of one."""
    routes = router(new=told("new", name, "fresh-1"))

    assert routes.agents_of(peer("new")) == ("fresh-1",)
    for taken in ("me", "local-1", "claude-cloud-agent-1", "claude-desk-7", "claude-x", "far-1"):
        assert not routes.may_speak(peer("new"), taken)
        assert routes.resolve(taken) == router().resolve(taken)


def test_the_first_of_two_that_name_the_same_has_it() -> None:
    """In the order of the config, so that the answer is the same each time."""
    for rows in (
        {"new": told("new", "fresh"), "newer": told("newer", "fresh", "fr*", "other")},
        {"newer": told("newer", "fresh", "fr*", "other"), "new": told("new", "fresh")},
    ):
        routes = Router(CONFIG, rows)
        assert routes.resolve("fresh").peer == "new"
        assert not routes.may_speak(peer("newer"), "fresh")
        assert routes.agents_of(peer("newer")) == ("other",)


def test_a_pattern_that_a_peer_names_is_one() -> None:
    """As far as nobody else has any of it."""
    routes = router(new=told("new", "fresh-*"))

    assert routes.resolve("fresh-7").peer == "new"
    assert routes.may_speak(peer("new"), "fresh-7")


@pytest.mark.timeout(5)
def test_a_pattern_of_many_stars_takes_no_time() -> None:
    """A peer may say one in its hello, and names that nearly fit it in its messages."""
    pattern = "Q" + "*a" * 20 + "*Z"

    assert not matches(pattern, "Q" + "a" * 60)
    assert matches(pattern, "Q" + "a" * 60 + "Z")
    assert matches("a*a", "aa") and not matches("a*a", "a") and not matches("ab*bc", "abc")
