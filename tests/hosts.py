"""Whole hosts for acceptance tests: a home, its consumers as real processes, its command line."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from spool import authorized
from spool import home as homes
from spool.api import Spool
from spool.config_edit import set_peer
from tests.sshd import Sshd

ROOT: Final = Path(__file__).parents[1]
# The checkout's own modules, compiled: each start of the command line would be slow without.
ENV: Final = {
    **{k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "SPOOL_AGENT")},
    "PYTHONPATH": str(ROOT),
}
CLI: Final = [sys.executable, "-m", "spool.cli"]


class Consumer:
    """One `huey_consumer workers.app.huey` of a home."""

    def __init__(self, home: Path, *flags: str, env: Mapping[str, str] | None = None) -> None:
        self.out = home / "log" / f"consumer-{time.monotonic_ns()}.out"
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "huey.bin.huey_consumer", "workers.app.huey", *flags],
                env={**ENV, "SPOOL_HOME": str(home), **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def end(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal, without waiting for its end."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGCONT)

    def stop(self, number: int = signal.SIGTERM, within_s: float = 25.0) -> int:
        """End it by a signal; its exit status."""
        self.end(number)
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.process.kill()
        self.process.wait()


class Host:
    """A home with its name and agents, and what a person would do with it."""

    def __init__(self, folder: Path, name: str, *agents: str) -> None:
        self.name = name
        self.home = folder / name
        self.made = homes.init(self.home, name=name, agents=list(agents))
        self._consumers: list[Consumer] = []

    def cli(
        self,
        *args: str,
        stdin: str | None = None,
        check: int | None = 0,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run `spool ARGS` here; the exit status must be `check` unless that is None."""
        done = subprocess.run(
            [*CLI, "--home", str(self.home), *args],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=60,
            env={**ENV, **(env or {})},
        )
        assert check is None or done.returncode == check, (
            f"{args}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done

    def json(self, *args: str, **more: Any) -> list[Any]:
        """Run `spool ARGS --json`; its lines as values."""
        return [json.loads(line) for line in self.cli(*args, "--json", **more).stdout.splitlines()]

    def api(self, agent: str | None = None) -> Spool:
        """The Python API of this home."""
        return Spool(self.home, agent=agent)

    def start(self, *flags: str, env: Mapping[str, str] | None = None) -> Consumer:
        """Start a consumer; it is ended with the host."""
        consumer = Consumer(self.home, *flags, env=env)
        self._consumers.append(consumer)
        return consumer

    def end(self) -> None:
        """Let every consumer that was started begin to end."""
        for consumer in self._consumers:
            consumer.end()

    def close(self) -> None:
        """End every consumer that was started."""
        for consumer in self._consumers:
            consumer.stop()
        self._consumers.clear()

    def peer(self, name: str, **values: Any) -> None:
        """Write a peer into the config."""
        set_peer(self.home, name, values)

    def serve_command(self, peer: str) -> list[str]:
        """What runs the far end of a link here, for the peer of that name."""
        return [*CLI, "--home", str(self.home), "serve", "--peer", peer]

    def log(self, event: str | None = None) -> list[dict[str, Any]]:
        """The events of spool.jsonl, all or of one kind."""
        path = self.home / "log" / "spool.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        events = [json.loads(line) for line in lines]
        return [each for each in events if event is None or each["event"] == event]

    def peer_state(self, name: str) -> str:
        """linked, dialling, waiting or stopped."""
        with Spool(self.home) as spool:
            return spool.peer_row(name).state


def dials_by_exec(near: Host, far: Host, *, near_agents: list[str], far_agents: list[str]) -> None:
    """`near` reaches `far` over a pipe to a command on this machine; `far` cannot dial."""
    command = shlex.join(["env", f"PYTHONPATH={ROOT}", *far.serve_command(near.name)])
    near.peer(far.name, url=f"exec:{command}", agents=far_agents)
    far.peer(near.name, agents=near_agents)


def dials_by_ssh(
    near: Host,
    far: Host,
    sshd: Sshd,
    *,
    near_agents: list[str],
    far_agents: list[str],
    port: int | None = None,
) -> None:
    """`near` logs in to `far` through a real sshd, with a key that may only run `spool serve`.

    `port` is that of a proxy in between.
    """
    command = ["env", f"PYTHONPATH={ROOT}", *CLI]
    line = authorized.line_for(near.made.public_key, peer=near.name, command=command, home=far.home)
    sshd.authorize(line)
    url = f"ssh://{sshd.user}@127.0.0.1:{port or sshd.port}"
    near.peer(far.name, url=url, agents=far_agents, host_key=sshd.host_key)
    far.peer(near.name, agents=near_agents)


@contextlib.contextmanager
def hosts(folder: Path, **agents: list[str]) -> Iterator[tuple[Host, ...]]:
    """Hosts by name with their agents; their consumers are ended at the end."""
    made = tuple(Host(folder, name, *named) for name, named in agents.items())
    try:
        yield made
    finally:
        # Side by side: each takes a moment.
        for host in made:
            host.end()
        for host in made:
            host.close()


def until(is_so: Any, within_s: float = 20.0, what: str = "it did not become so") -> None:
    """Wait until a call is true; fail after `within_s`."""
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
