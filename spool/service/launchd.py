"""A LaunchAgent of macOS: starts the consumer at login, and again where it fails."""

from __future__ import annotations

import os
import plistlib
import shutil
import sys
from pathlib import Path

from spool.service import files
from spool.service.base import RESTART_S, STOP_S, Job, ask, insist
from spool.starting import OUT


def plist(job: Job) -> bytes:
    """The text of the agent's file."""
    agent = {
        "Label": job.name,
        "ProgramArguments": job.arguments,
        "EnvironmentVariables": job.environment,
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": RESTART_S,
        "ExitTimeOut": STOP_S,
        "Umask": 0o077,
        "StandardErrorPath": str(job.home / OUT),
    }
    text = plistlib.dumps(agent, sort_keys=False)
    head, _, rest = text.partition(b"<plist")
    return head + _mark(job).encode() + b"\n<plist" + rest


def _mark(job: Job) -> str:
    # Two hyphens would end the comment.
    return f"<!-- written by `spool service install` for {str(job.home).replace('--', '- -')} -->"


class Launchd:
    """See `Keeper`."""

    name = "launchd"

    def missing(self) -> str:
        """Why this machine cannot."""
        here = sys.platform == "darwin" and shutil.which("launchctl") is not None
        return "" if here else "this is not macOS"

    def path(self, job: Job) -> Path:
        """Where the agent lies."""
        return Path.home() / "Library" / "LaunchAgents" / f"{job.name}.plist"

    def shown(self, job: Job) -> str:
        """The agent's path and text."""
        return f"{self.path(job)}:\n\n{plist(job).decode()}"

    def install(self, job: Job) -> list[str]:
        """Write it and load it."""
        files.put(self.path(job), plist(job), _mark(job))
        # One that is loaded already keeps its old text until it is loaded anew.
        ask(["launchctl", "bootout", f"{_domain()}/{job.name}"])
        insist(["launchctl", "bootstrap", _domain(), str(self.path(job))])
        return ["it runs while you are logged in"]

    def starts(self, job: Job) -> bool:
        """Whether there is an agent."""
        return files.holds(self.path(job), _mark(job)) and not self.missing()

    def start(self, job: Job) -> None:
        """Start what is loaded."""
        insist(["launchctl", "kickstart", f"{_domain()}/{job.name}"])

    def uninstall(self, job: Job) -> bool:
        """Unload and remove it."""
        if not files.remove(self.path(job), _mark(job)):
            return False
        ask(["launchctl", "bootout", f"{_domain()}/{job.name}"])
        return True

    def state(self, job: Job) -> str | None:
        """Whether it is loaded."""
        if not files.holds(self.path(job), _mark(job)):
            return None
        if why := self.missing():
            return why
        found = ask(["launchctl", "print", f"{_domain()}/{job.name}"])
        return "loaded" if found.returncode == 0 else "not loaded"


def _domain() -> str:
    return f"gui/{os.getuid()}"
