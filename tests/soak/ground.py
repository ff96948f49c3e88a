"""Where a soak takes place: three hosts and a files peer, the proxies between them, and what runs there.

`ash` and `oak` dial each other, `elm` dials `oak`; `ash` and `elm` reach each other, and both the files peer
`box`, through `oak`. The homes of `ash` and `oak` lie on file systems of their own, small enough to fill,
where that can be had.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests import databases
from tests.hosts import Host, dials_by_ssh
from tests.proxy import FaultProxy
from tests.soak.parts import Kind, Part
from tests.sshd import Sshd

AGENTS: Final = {"ash": "ada", "oak": "oda", "elm": "eve"}
BOX: Final = "bot"
# Of whom `ash` and `elm` believe that `oak` knows the way to them.
GHOST: Final = "ghost"
# Who has a link to whom; where both dial, both stand here.
DIALS: Final = (("ash", "oak"), ("oak", "ash"), ("elm", "oak"), ("oak", "box"))
SMALL_MB: Final = 768
SHARES: Final = {"ash": 0.35, "oak": 0.25, "elm": 0.3, "box": 0.1}
# Senders of each host, and receivers.
CREW: Final = 2


class Ground:
    """Everything that stands and runs.

    Attributes:
        hosts: by name. proxies: by who dials whom. parts: by name.
        small: the hosts whose disk can be filled; `no_small` says why there are none.
    """

    def __init__(
        self, folder: Path, stack: contextlib.ExitStack, *, messages: int, seconds: float, crew: int
    ) -> None:
        self.folder = folder
        self.ledgers = folder / "ledgers"
        self.outputs = folder / "outputs"
        self.box = folder / "box"
        for path in (self.ledgers, self.outputs, self.box / "inbox" / "processed", self.box / "outbox"):
            path.mkdir(parents=True)
        self.no_small = ""
        self.small: set[str] = set()
        self.hosts = {name: Host(self._place(name, stack), name, agent) for name, agent in AGENTS.items()}
        self.sshd = stack.enter_context(Sshd(folder / "sshd"))
        self.box_sshd = stack.enter_context(Sshd(folder / "sshd-box"))
        self.proxies = {
            pair: stack.enter_context(FaultProxy((self.box_sshd if "box" in pair else self.sshd).port))
            for pair in DIALS
        }
        self._introduce()
        self.parts: dict[str, Part] = {}
        stack.callback(self.kill_all)
        self._staff(messages, seconds, crew)

    # -- the hosts ------------------------------------------------------------------------------

    def _place(self, name: str, stack: contextlib.ExitStack) -> Path:
        """The folder for a home: on a small file system where one can be had."""
        place = self.folder / f"disk-{name}"
        place.mkdir()
        if name == "elm":
            return place
        if os.geteuid() != 0:
            self.no_small = "only root may mount one"
            return place
        size = f"size={SMALL_MB}m,mode=0700"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", size, "spool-soak", str(place)], capture_output=True, text=True
        )
        if done.returncode != 0:
            self.no_small = done.stderr.strip()
            return place
        stack.callback(subprocess.run, ["umount", "--lazy", str(place)], check=True)
        self.small.add(name)
        return place

    def _introduce(self) -> None:
        for near, far in DIALS:
            if far != "box":
                dials_by_ssh(
                    self.hosts[near],
                    self.hosts[far],
                    self.sshd,
                    near_agents=[AGENTS[near]],
                    far_agents=[AGENTS[far]],
                    port=self.proxies[near, far].port,
                )
        self.hosts["ash"].peer("oak", via=[AGENTS["elm"], BOX, GHOST])
        self.hosts["elm"].peer("oak", via=[AGENTS["ash"], BOX, GHOST])
        oak = self.hosts["oak"]
        self.box_sshd.authorize(oak.made.public_key)
        oak.peer(
            "box",
            url=f"sftp://{self.box_sshd.user}@127.0.0.1:{self.proxies['oak', 'box'].port}",
            host_key=self.box_sshd.host_key,
            agents=[BOX],
            inbox=str(self.box / "inbox"),
            outbox=str(self.box / "outbox"),
            poll_s=1.0,
        )

    # -- who works there ------------------------------------------------------------------------

    def _staff(self, messages: int, seconds: float, crew: int) -> None:
        begun = time.time()
        for name in AGENTS:
            self._employ(f"{name} consumer", "consumer", name, ["huey.bin.huey_consumer", "workers.app.huey"])
            for n in range(crew):
                self._employ_agent(f"{name} receiver {n}", name, [])
            share = SHARES[name] / crew
            pace = [f"{share * messages / seconds:.4f}", str(round(share * messages)), str(begun)]
            targets = [*(agent for host, agent in AGENTS.items() if host != name), BOX]
            targets += [GHOST] if name != "oak" else []
            for n in range(crew):
                self._employ_agent(f"{name} sender {n}", name, [*pace, *targets])
        share = SHARES["box"]
        pace = [f"{share * messages / seconds:.4f}", str(round(share * messages)), str(begun)]
        ledger = str(self.ledgers / "box.jsonl")
        command = ["tests.soak.box", str(self.box), BOX, ledger, *pace, *AGENTS.values()]
        self._employ("box", "box", "box", command)

    def _employ_agent(self, name: str, host: str, rest: list[str]) -> None:
        kind: Kind = "sender" if "sender" in name else "receiver"
        ledger = str(self.ledgers / f"{name.replace(' ', '-')}.jsonl")
        home = str(self.hosts[host].home)
        self._employ(name, kind, host, [f"tests.soak.{kind}", home, AGENTS[host], ledger, *rest])

    def _employ(self, name: str, kind: Kind, host: str, command: list[str]) -> None:
        home = self.hosts[host].home if host in self.hosts else self.folder
        self.parts[name] = Part(name, kind, host, command, home=home, out=self.outputs)

    def of(self, kind: str) -> list[Part]:
        """The parts of a kind."""
        return [part for part in self.parts.values() if part.kind == kind]

    def start(self) -> None:
        """Start everything."""
        for part in self.parts.values():
            part.start()

    def tend(self) -> None:
        """Start again what has died."""
        for part in self.parts.values():
            part.tend()

    def end(self, *kinds: str) -> None:
        """End all parts of these kinds, and wait for it."""
        for kind in kinds:
            for part in self.of(kind):
                part.end()
        for kind in kinds:
            for part in self.of(kind):
                part.ended()

    def keep_databases(self) -> None:
        """Copy them to where they outlive the small file systems."""
        for name, host in self.hosts.items():
            databases.copy(host.home, self.folder / f"{name}.db").close()

    def kill_all(self) -> None:
        """End everything that still runs, at once."""
        for part in self.parts.values():
            part.end()
            part.kill()


@contextlib.contextmanager
def ground(folder: Path, *, messages: int, seconds: float, crew: int = CREW) -> Iterator[Ground]:
    """A ground to run on; nothing of it is left at the end but the ledgers and what was gathered."""
    with contextlib.ExitStack() as stack:
        yield Ground(folder, stack, messages=messages, seconds=seconds, crew=crew)
