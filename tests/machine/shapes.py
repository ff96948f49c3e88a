"""The shapes of a world: which hosts there are, and who reaches whom."""

from __future__ import annotations

from typing import Final, NamedTuple

OUTER: Final = "outer"
# Where an agent lives whom nobody knows.
NOWHERE: Final = ""
_OUTER: Final = '\n[peers.outer]\nagents = ["x*"]\n'


class Shape(NamedTuple):
    """The config of each host, the pairs that are linked (the first of each dials), and where agents read.

    `outer` names the host that the outsider, who has no spool of ours, brings mail to.
    """

    configs: dict[str, str]
    pairs: tuple[tuple[str, str], ...]
    homes: dict[str, str]
    outer: str


def _host(name: str, *agents: str) -> str:
    # The guard against circles is another thing than the carrying of mail, and has tests of its own.
    listed = ", ".join(f'"{agent}"' for agent in agents)
    return f'[host]\nname = "{name}"\nagents = [{listed}]\nloop_turns = 0\n'


def _peer(name: str, agents: str, via: str = "", url: str = "") -> str:
    text = f'\n[peers.{name}]\nagents = ["{agents}"]\n'
    text += f"via = [{via}]\n" if via else ""
    return text + (f'url = "{url}"\n' if url else "")


TWO: Final = Shape(
    {
        "alpha": _host("alpha", "a1", "a2") + _peer("beta", "b*", url="exec:true") + _OUTER,
        "beta": _host("beta", "b1") + _peer("alpha", "a*"),
    },
    (("alpha", "beta"),),
    {"a1": "alpha", "a2": "alpha", "b1": "beta", "x1": OUTER},
    "alpha",
)
BOTH: Final = TWO._replace(
    configs={**TWO.configs, "beta": _host("beta", "b1") + _peer("alpha", "a*", url="exec:true")}
)
THREE: Final = Shape(
    {
        "alpha": _host("alpha", "a1") + _peer("relay", "r*", via='"b*", "x*"', url="exec:true"),
        "relay": _host("relay", "r1") + _peer("alpha", "a*") + _peer("beta", "b*") + _OUTER,
        "beta": _host("beta", "b1") + _peer("relay", "r*", via='"a*", "x*"', url="exec:true"),
    },
    (("alpha", "relay"), ("beta", "relay")),
    {"a1": "alpha", "r1": "relay", "b1": "beta", "x1": OUTER},
    "relay",
)
SHAPES: Final = {"two": TWO, "both": BOTH, "three": THREE}
