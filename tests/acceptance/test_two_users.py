"""Two hosts under two unix users, with clocks that differ, and all of the protocol's messages."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spool import demo
from tests.accounts import WAITING_S, alone
from tests.far_user import NAME, FarUser, require_root
from tests.hosts import ENV, Host, until
from tests.sshd import Sshd

SHIFT_S = 90
EXAMPLES = {path.stem: path for path in demo.EXAMPLES.glob("*.json") if path.stem != "ack"}
KILLED = ("question", "deploy-ready", "minimal")
SENDER = """
import os, sys
from pathlib import Path
from spool import Spool
home, path = sys.argv[1:]
[id] = Spool(home).send_many([Path(path).read_bytes()])
print(id, flush=True)
os.kill(os.getpid(), 9)
"""


# It may have to wait for the tests that have these accounts just now.
pytestmark = pytest.mark.timeout(WAITING_S)


@pytest.fixture
def far() -> Iterator[FarUser]:
    """The second user; its clock is 90 s ahead and in another time zone."""
    require_root()
    with alone():
        user = FarUser(ahead_s=SHIFT_S, zone="Asia/Tokyo")
        yield user
        user.remove()


class FarHost:
    """The far home, by its command line only: it is another user's."""

    def __init__(self, user: FarUser) -> None:
        self.user = user
        self.home = user.folder / "mail" / "spool"
        self.spool = str(user.venv / "bin" / "spool")

    def cli(self, *args: str, stdin: str = "") -> str:
        return self.user.run(self.spool, "--home", str(self.home), *args, stdin=stdin).stdout

    def json(self, *args: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.cli(*args, "--json").splitlines()]

    def consumer(self) -> subprocess.Popen[bytes]:
        python = str(self.user.venv / "bin" / "python")
        return subprocess.Popen(
            self.user.as_user(
                python,
                "-m",
                "huey.bin.huey_consumer",
                "workers.app.huey",
                SPOOL_HOME=str(self.home),
                TZ=self.user.zone,
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def test_the_protocols_messages_both_ways(tmp_path: Path, far: FarUser) -> None:
    """From two empty accounts to every message done, and both clocks told in the right order."""
    there = FarHost(far)
    with Sshd(tmp_path / "sshd", config="AuthorizedKeysFile .ssh/authorized_keys") as sshd:
        here = Host(tmp_path, "laptop", "claude-local")
        there.cli("init", "--name", "stackcp", *(f"--agent={agent}" for agent in demo.CLOUD))
        key = tmp_path / "laptop.pub"
        key.write_text(here.made.public_key + "\n")
        there.cli("peer", "authorize", "laptop", "-", "--agents", "claude-local", stdin=key.read_text())
        scan = subprocess.run(
            ["ssh-keygen", "-lf", str(tmp_path / "sshd" / "host_key.pub")],
            capture_output=True,
            text=True,
            check=True,
        )
        fingerprint = scan.stdout.split()[1]
        here.cli(
            "peer", "add", "stackcp", f"ssh://{NAME}@127.0.0.1:{sshd.port}",
            "--agents", "claude-cloud*", "--fingerprint", fingerprint, "--yes",
        )  # fmt: skip
        here.start()
        consumer = there.consumer()
        try:
            until(lambda: here.peer_state("stackcp") == "linked", what=sshd.logged()[-2000:])
            _exchange(here, there)
        finally:
            here.close()
            consumer.terminate()
            consumer.wait(30)


def _exchange(here: Host, there: FarHost) -> None:
    ids = {name: _send(here, there, name) for name in EXAMPLES}
    local = {name for name in EXAMPLES if _fields(name)["from"] == "claude-local"}
    for name in EXAMPLES:
        agent = str(_fields(name)["to"])
        reader = there if name in local else here
        until(lambda r=reader, a=agent, n=name: _is_there(r, a, ids[n]))
        run = reader.cli
        run("read", ids[name], "--agent", agent)
        run("done", ids[name], "--agent", agent)
        _check_unchanged(reader, ids[name], name)
    for name in EXAMPLES:
        sender = here if name in local else there
        far_name = "stackcp" if name in local else "laptop"
        until(lambda s=sender, n=name: s.json("trace", ids[n])[0]["state"] == "done")
        _check_trace(sender.json("trace", ids[name])[0], far_name, ahead=name in local)


def _send(here: Host, there: FarHost, name: str) -> str:
    """Half of them by a process that is killed as soon as `send` has returned."""
    path, fields = EXAMPLES[name], _fields(name)
    if fields["from"] != "claude-local":
        text = path.read_text()
        if name in KILLED:
            python = str(there.user.venv / "bin" / "python")
            copy = there.user.folder / path.name
            copy.write_text(text)
            ended = there.user.run(python, "-c", SENDER, str(there.home), str(copy), check=False)
            assert ended.returncode in (-9, 137)
            return ended.stdout.strip()
        return there.cli("send", "--message", "-", stdin=text).strip()
    if name in KILLED:
        killed = subprocess.run(
            [sys.executable, "-c", SENDER, str(here.home), str(path)], capture_output=True, text=True, env=ENV
        )
        assert killed.returncode == -9, killed.stderr
        return killed.stdout.strip()
    return here.cli("send", "--message", str(path)).stdout.strip()


def _fields(name: str) -> dict[str, object]:
    fields: dict[str, object] = json.loads(EXAMPLES[name].read_bytes())
    return fields


def _is_there(reader: Host | FarHost, agent: str, id: str) -> bool:
    return any(row["id"] == id for row in reader.json("inbox", "--agent", agent, "--limit", "100"))


def _check_unchanged(reader: Host | FarHost, id: str, name: str) -> None:
    shown = reader.json("show", id)[0]["message"]
    assert isinstance(shown, dict)
    for field, value in _fields(name).items():
        assert shown[field] == value


def _check_trace(trace: dict[str, object], far_name: str, *, ahead: bool) -> None:
    from spool.message import parse_time

    events = trace["events"]
    assert isinstance(events, list)
    assert [event["state"] for event in events] == ["queued", "sent", "received", "read", "done"]
    assert [event["host"] for event in events][2:] == [far_name] * 3
    by_state = {event["state"]: parse_time("at", event["at"]) for event in events}
    # The far clock is 90 s off: its times stand as it said them.
    shift = by_state["received"] - by_state["sent"]
    assert abs(shift - (SHIFT_S if ahead else -SHIFT_S)) < 30
    print(f"{trace['id']}: received {shift:+.3f} s after sent, by two clocks")
