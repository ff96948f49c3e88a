"""Makes docs/terminal.md anew: what commands look like in a real tmux. `python -m tests.captures`.

It needs tmux. Times, ids and numbers of processes are those of the moment.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from spool import log
from tests import scenery
from tests.hosts import CLI, ENV, ROOT
from tests.scenery import AGENT, Scene

PAGE: Final = ROOT / "docs" / "terminal.md"
COLUMNS: Final = (80, 120)
LINES: Final = 40
LIMIT_S: Final = 30.0
READY: Final = "ready>"
HEAD: Final = """\
# On a terminal

What a person sees in tmux, at 80 and at 120 columns: a laptop with a peer that is linked, one that is
stopped, one that does not answer, and mail in five scripts. `python -m tests.captures` makes this page anew.

On a terminal an id is shown by its ending, which every command takes, and what has no room in a list ends
with `…`; `status`, `trace` and `peer check` leave nothing out and go on below. States are coloured: green
what works, yellow what waits, red what is overdue, stopped, failed or dead; not where `NO_COLOR` is set or
the terminal is dumb. Into a pipe or a file everything goes whole, one row a line, without colours; scripts
take `--json`.
"""


class Tmux:
    """A tmux server of its own with one window, in which a shell waits."""

    def __init__(self, folder: Path, home: Path, columns: int) -> None:
        self._socket = folder / f"tmux-{columns}"
        (folder / "bin").mkdir(exist_ok=True)
        command = folder / "bin" / "spool"
        command.write_text(f'#!/bin/sh\nexec {shlex.join(CLI)} "$@"\n')
        command.chmod(0o755)
        env = {
            name: value for name, value in ENV.items() if name not in ("TMUX", "NO_COLOR", "COLUMNS", "ENV")
        }
        self._env = {
            **env,
            "SPOOL_HOME": str(home),
            "SPOOL_AGENT": AGENT,
            "PATH": f"{command.parent}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
        }
        self("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(LINES), "sh")
        # In two pieces, so that the echo of this line is not taken for the prompt.
        self._type(f"PS1={READY[:3]!r}{READY[3:]!r}")

    def __call__(self, *words: str) -> str:
        """What a command of tmux prints."""
        command = ["tmux", "-u", "-S", str(self._socket), *words]
        return subprocess.run(
            command, env=self._env, check=True, capture_output=True, text=True, timeout=LIMIT_S
        ).stdout

    def shown(self, command: str, *, until: str | None = None) -> tuple[str, str]:
        """What a command leaves on the screen, plain and with its colours.

        Args:
            until: of a command that goes on, what it is to print before it is ended.
        """
        self("clear-history")
        self._type(f"clear; {command}; tmux wait-for -S over")
        if until is None:
            self("wait-for", "over")
            self._until(READY)
        else:
            self._until(until)
        plain, coloured, joined = self._text(), self._text("-e"), self._text("-J")
        if joined.count("\n") != plain.count("\n"):
            raise SystemExit(f"{command}: the terminal wrapped a line\n{plain}")
        if until is not None:
            self("send-keys", "C-c")
        return plain, coloured

    def _type(self, line: str) -> None:
        self("send-keys", "-l", line)
        self("send-keys", "Enter")

    def _text(self, *how: str) -> str:
        lines = self("capture-pane", "-p", "-S", "-", *how).rstrip().split("\n")
        return "\n".join(line.rstrip() for line in lines if not line.startswith(READY))

    def _until(self, words: str) -> None:
        deadline = time.monotonic() + LIMIT_S
        while words not in (text := self("capture-pane", "-p", "-S", "-")):
            if time.monotonic() > deadline:
                raise SystemExit(f"{words!r} did not come:\n{text}")
            time.sleep(0.05)

    def close(self) -> None:
        self("kill-server")


@contextlib.contextmanager
def tmux(folder: Path, home: Path, columns: int) -> Iterator[Tmux]:
    """A tmux that is ended."""
    made = Tmux(folder, home, columns)
    try:
        yield made
    finally:
        made.close()


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory(prefix="ann-") as name, scenery.laptop(Path(name)) as scene:
        log.configure(scene.home, role="consumer", host="laptop", version="0.1.0", stderr=False)
        parts = [HEAD]
        for columns in COLUMNS:
            parts.append(f"\n## {columns} columns\n")
            with tmux(Path(name), scene.home, columns) as terminal:
                parts += [_part(terminal, command) for command in _commands(scene)]
                parts.append(_part(terminal, "spool log -f", until="message.stored"))
        _refuse_colours_in_a_pipe(scene)
    PAGE.write_text("".join(parts))


def _commands(scene: Scene) -> list[str]:
    read, rejected, _, dead, *_ = scene.sent
    looks = ["status", "inbox", "outbox", "dead list", "peer list", "peer check cloud", "agent list"]
    return [f"spool {each}" for each in (*looks, *(f"trace {id[-8:]}" for id in (read, rejected, dead)))]


def _part(terminal: Tmux, command: str, *, until: str | None = None) -> str:
    plain, coloured = terminal.shown(command, until=until)
    print(
        f"{command}: {plain.count(chr(10)) + 1} lines, {'in colours' if coloured != plain else 'no colours'}"
    )
    return f"\n```\n$ {command}\n{plain}\n```\n"


def _refuse_colours_in_a_pipe(scene: Scene) -> None:
    env = {**ENV, "SPOOL_HOME": str(scene.home), "SPOOL_AGENT": AGENT}
    for command in (*_commands(scene), "spool log"):
        words = [*CLI, *command.split()[1:]]
        if b"\x1b" in subprocess.run(words, env=env, check=True, capture_output=True).stdout:
            raise SystemExit(f"{command}: colours in a pipe")


if __name__ == "__main__":
    sys.exit(main())
