"""Who a session reads as, told to the session and to the shells it starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from spool.attending import Attending
from spool.digest import tame
from spool.looking import ago
from spool.store.base import Session

_PATH: Final = 200
_OTHERS: Final = 3


def chosen(given: str | None) -> str | None:
    """The agent that was chosen: `$SPOOL_AGENT`, else what the hook was given; None for neither."""
    return os.environ.get("SPOOL_AGENT") or given


def unbound(spool: Attending, name: str | None) -> str:
    """Why a session reads as nobody, and what chooses; empty where nobody reads on this host."""
    here = ", ".join(spool.config.host.agents)
    if not here:
        return ""
    how = "SPOOL_AGENT in `env` of the project's .claude/settings.json chooses who a session reads as."
    if name is not None:
        return (
            f"spool, mail between agents: {tame(name, _PATH)!r} is not an agent of this host, whose agents"
            f" are {here}. This session reads nobody's mail. {how}"
        )
    return (
        f"spool, mail between agents: several read on this host ({here}) and none is chosen."
        f" This session reads nobody's mail. {how}"
    )


def bound(spool: Attending, agent: str, others: Sequence[Session], *, now: float) -> str:
    """Who this session is, how it reads, and who reads the same mail."""
    lines = [
        f"spool, mail between agents: You are {agent} on {spool.config.host.name}."
        " `spool inbox` lists the mail of this agent, `spool read ID` prints a message and marks it read,"
        " `spool reply ID -b TEXT` answers, `spool send AGENT -s SUBJECT -b TEXT` writes; the MCP server"
        " `spool` has tools for the same, where it is set up."
    ]
    if (program := _off_path()) is not None:
        lines.append(f"`spool` is not on the PATH of this session's shells; it is {tame(program, _PATH)}.")
    for other in others[:_OTHERS]:
        where = f" in {tame(other.cwd, _PATH)}" if other.cwd else ""
        lines.append(
            f"Another live session reads this mailbox{where}, since {ago(now - other.since)}:"
            " what one of the two reads, the other does not see as unread."
        )
    if len(others) > _OTHERS:
        lines.append(f"And {len(others) - _OTHERS} more live sessions read it.")
    return "\n".join(lines)


def _off_path() -> str | None:
    """Where this program is, if a shell would not find it by its name."""
    program = Path(sys.argv[0])
    if not program.is_absolute() or program.name != "spool":
        return None
    folders = os.environ.get("PATH", "").split(os.pathsep)
    return None if any(os.access(Path(folder, "spool"), os.X_OK) for folder in folders) else str(program)


def export(path: Path, agent: str, home: Path) -> None:
    """Tell the session's later shells who they are, a line once. Raises OSError."""
    wanted = [f"export SPOOL_AGENT={_quoted(agent)}"]
    if home != Path.home() / ".spool":
        wanted.append(f"export SPOOL_HOME={_quoted(str(home))}")
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with open(file, "rb", closefd=False) as there:
            text = there.read().decode("utf-8", "replace")
        missing = [line for line in wanted if not _stands(text, line)]
        if missing:
            gap = "\n" if text and not text.endswith("\n") else ""
            os.write(
                file, (gap + "".join(f"{line}\n" for line in missing)).encode("utf-8", "surrogateescape")
            )
    finally:
        os.close(file)


def _stands(text: str, line: str) -> bool:
    """Whether it is the last word on its variable."""
    variable = line.partition("=")[0]
    said = [each for each in text.splitlines() if each.startswith(f"{variable}=")]
    return bool(said) and said[-1] == line


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"
