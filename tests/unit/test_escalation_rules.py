"""`[escalation]` in spool.toml: what it may say, and what is said of what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from spool.config import parse
from spool.errors import BadConfig
from tests.desk import Turned
from tests.escalating import ROAD, ROADS, escalating_host, rules
from tests.unit.test_cli import Cli

HOST = '[host]\nname = "here"\nagents = ["me"]\n'


def problem(text: str) -> str:
    with pytest.raises(BadConfig) as caught:
        parse(HOST + ROADS + text)
    return str(caught.value)


def test_a_peer_is_enough() -> None:
    """All else has a value that is right for most."""
    found = parse(HOST + ROADS + rules()).escalation
    assert found is not None
    assert (found.peer, found.classes, found.types, found.after_s, found.max_open) == (
        ROAD,
        [0],
        ("blocker",),
        10.0,
        50,
    )
    assert parse(HOST + ROADS).escalation is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("\n[escalation]\n", "peer"),
        ('\n[escalation]\npeer = "nobody"\n', "[escalation] peer: there is no [peers.nobody]"),
        ('\n[escalation]\npeer = "cloud"\n', "[escalation] peer: cloud is no github:// peer"),
        (rules(priorities=["urgent"]), "[escalation] priorities: 'urgent' is none of P0, P1, P2 and P3"),
        (rules(types="blocker"), "[escalation.types]"),
        (rules(after_s=-1), "[escalation] after_s: not a number of seconds"),
        ("\n[escalation]\npeer = 'road'\npeer_down_s = nan\n", "[escalation] peer_down_s"),
        (rules(max_open=0), "[escalation] max_open: from 1 to 200"),
        (rules(max_open=201), "[escalation] max_open: from 1 to 200"),
        (rules(colour="red"), "[escalation] unknown key `colour`"),
    ],
)
def test_what_is_wrong_is_named(given: str, said: str) -> None:
    """With its table and key, so that it can be put right."""
    assert said in problem(given)


def test_the_peer_that_people_are_told_by_is_not_removed_in_passing(tmp_path: Path) -> None:
    """The rules would name nobody: the config stays as it was."""
    with escalating_host(tmp_path, Turned()) as spool:
        cli = Cli(spool.home)
        error = cli.error("peer", "remove", ROAD, "--yes")
        assert error["kind"] == "bad_config" and "[escalation] peer" in error["message"]
        spool._reload()
        assert ROAD in spool.config.peers
