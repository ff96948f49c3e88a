"""A config that changes while a process runs: each key holds at once for all that it says, or for none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from spool import config, log
from spool.carrier import Caller, Carrier
from spool.clock import Clock
from spool.config import Host, Peer
from spool.config_edit import set_peer
from spool.errors import Unreachable
from spool.escalation_rules import Rules
from spool.settings import Settings
from spool.store.sqlite import SqliteStore
from spool.transports.base import Files, Pipe
from tests.desk import make_home
from tests.hosts import until

# Another value for each key. Whoever adds a key decides what a running process does with it.
HOST: dict[str, Any] = {
    "name": "there",
    "agents": ["me", "you"],
    "relay": False,
    "secrets": "ask",
    "max_message_bytes": 2048,
    "low_water_mb": 1,
    "attachments_mb": 1,
    "archive_after_s": 1.0,
    "lifetime_s": 60.0,
    "dedup_s": 60.0,
    "autostart": True,
    "loop_turns": 4,
    "loop_window_s": 60.0,
    "quota_minute": 60,
    "quota_waiting": 10,
    "quota_mb": 1,
}
# What of a peer says how it is reached: it is reached anew. Of the rest, a link takes no notice.
REACHED: dict[str, Any] = {
    "url": "ssh://other",
    "identity": "user",
    "remote_command": "spool",
    "host_key": "ssh-ed25519 AAAA",
    "connect_timeout_s": 3.0,
    "inbox": "/tmp/in",
    "outbox": "/tmp/out",
    "acks": True,
    "mode": "0640",
    "poll_s": 9.0,
    "base_url": "https://github.example/api/v3",
    "token_env": "OTHER_TOKEN",
    "token_file": "/tmp/token",
    "token_command": ["pass", "github"],
    "direction": "local-to-cloud",
    "reads": "desk-to-local",
    "label": "chat",
    "logins": ["octocat"],
    "secret_file": "/tmp/secret",
    "secret_command": ["pass", "spool"],
    "secret_env": "OTHER_SECRET",
    "ca_file": "/tmp/ca.pem",
}
ROUTED: dict[str, Any] = {"agents": ["carol", "dora"], "via": ["eve"]}
QUOTAS = {"quota_minute": 60, "quota_waiting": 10, "quota_mb": 1}
RULES: dict[str, Any] = {
    "peer": "other",
    "priorities": ("P1",),
    "types": ("question",),
    "overdue": False,
    "dead": False,
    "after_s": 5.0,
    "peer_down_s": 60.0,
    "max_open": 9,
}
# A hello tells these: the far side must be told again.
TOLD = {"name", "agents"}


class Running:
    """A carrier over a real home; nobody can be reached."""

    def __init__(self, folder: Path) -> None:
        self.home = make_home(folder, "me", peers='[peers.cloud]\nurl = "ssh://host"\nagents = ["carol"]\n')
        self.store = SqliteStore(self.home)
        clock = Clock(time.time, time.monotonic)
        self.settings = Settings(self.home, self.store, clock)
        self.carrier = Carrier(
            self.store, self.settings, clock, token="t", version="0", dial=_fails, open_files=_no_files
        )
        self.carrier.start()

    @property
    def caller(self) -> Caller:
        """Who dials the only peer."""
        (caller,) = self.carrier.callers()
        return caller

    def close(self) -> None:
        self.carrier.stop()
        self.store.close()


def _fails(peer: Peer) -> Pipe:
    raise Unreachable("nobody there")


def _no_files(peer: Peer) -> Files:
    raise Unreachable("no folders there")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(tmp_path)
    yield found
    found.close()


def set_host(home: Path, key: str, value: Any) -> None:
    """Write one key of [host], as an editor would."""
    here = msgspec.structs.asdict(config.load(home).host) | {key: value}
    peers = (home / "spool.toml").read_text().partition("[peers")[2]
    lines = [f"{name} = {msgspec.json.encode(each).decode()}" for name, each in here.items()]
    (home / "spool.toml").write_text("\n".join(["[host]", *lines, f"[peers{peers}"]))


def test_each_key_is_thought_of() -> None:
    """A key that nobody decided about would hold half."""
    assert set(Host.__struct_fields__) <= HOST.keys()
    assert RULES.keys() == set(Rules.__struct_fields__)
    assert set(Peer.__struct_fields__) - {"name"} == REACHED.keys() | ROUTED.keys() | QUOTAS.keys()


@pytest.mark.parametrize("key", sorted(set(HOST) & set(Host.__struct_fields__)))
def test_a_key_of_the_host_is_in_force_at_once(running: Running, key: str) -> None:
    """Everything that looks at it looks into the config in force; what hello tells is told again."""
    before = running.caller
    set_host(running.home, key, HOST[key])
    running.carrier.refresh()
    # Another thread may have seen it first, and be at it still.
    until(lambda: getattr(running.settings.config.host, key) == HOST[key])
    until(lambda: (running.caller is not before) is (key in TOLD))


@pytest.mark.parametrize("key", sorted(REACHED))
def test_a_peer_that_is_reached_another_way_is_reached_anew(running: Running, key: str) -> None:
    """The old link ends, the new one is dialled by what the file says now."""
    before = running.caller
    set_peer(running.home, "cloud", {key: REACHED[key]})
    running.carrier.refresh()
    until(lambda: running.caller is not before)
    assert getattr(running.caller.peer, key) == REACHED[key]


@pytest.mark.parametrize("key", sorted(ROUTED))
def test_who_lives_there_changes_without_a_new_link(running: Running, key: str) -> None:
    """The routes are made anew; a link that is up stays up."""
    before = running.caller
    set_peer(running.home, "cloud", {key: ROUTED[key]})
    running.carrier.refresh()
    until(lambda: getattr(running.settings.config.peer("cloud"), key) == ROUTED[key])
    assert running.settings.router().resolve(ROUTED[key][-1]).peer == "cloud"
    assert running.caller is before


@pytest.mark.parametrize("key", sorted(QUOTAS))
def test_a_quota_changes_without_a_new_link(running: Running, key: str) -> None:
    """Who floods us is held back at once, and a link that is up stays up."""
    before = running.caller
    set_peer(running.home, "cloud", {key: QUOTAS[key]})
    running.carrier.refresh()
    until(lambda: getattr(running.settings.config.peer("cloud"), key) == QUOTAS[key])
    assert running.caller is before


@pytest.mark.parametrize("key", sorted(Rules.__struct_fields__))
def test_a_rule_of_escalation_is_in_force_at_the_next_look(running: Running, key: str) -> None:
    """Each look reads the config in force; no link takes notice."""
    before = running.caller
    path = running.home / "spool.toml"
    roads = "".join(f'[peers.{road}]\nurl = "github://owner/{road}"\n' for road in ("road", "other"))
    line = f"{key} = {msgspec.json.encode(RULES[key]).decode()}"
    more = [line] if key == "peer" else ['peer = "road"', line]
    path.write_text("\n".join([path.read_text(), roads, "[escalation]", *more, ""]))
    running.carrier.refresh()
    until(lambda: getattr(running.settings.config.escalation, key, None) == RULES[key])
    assert before in running.carrier.callers()


def test_the_log_names_the_keys_and_the_new_host(running: Running) -> None:
    """What changed, not to what: a url may hold what is nobody's business."""
    log.configure(running.home, role="consumer", host="here", version="0", stderr=False)
    set_host(running.home, "name", "there")
    running.carrier.refresh()

    def changed() -> list[dict[str, Any]]:
        lines = (running.home / "log" / "spool.jsonl").read_bytes().splitlines()
        return [each for each in map(msgspec.json.decode, lines) if each["event"] == "config.changed"]

    until(lambda: changed() != [])
    (line,) = changed()
    assert (line["host"], line["keys"]) == ("there", ["host.name"])


def test_a_bad_config_changes_nothing(running: Running) -> None:
    """Not even the part of it that is right."""
    path, before, caller = running.home / "spool.toml", running.settings.config, running.caller
    path.write_text(path.read_text().replace('"carol"', '"dora"') + "colour = 3\n")
    running.carrier.refresh()

    def said() -> str:
        with running.store.read() as tx:
            return tx.ledger.fact("config_error") or ""

    until(lambda: "colour" in said())
    assert running.settings.config is before and running.caller is caller
