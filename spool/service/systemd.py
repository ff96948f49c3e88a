"""A systemd user unit: starts the consumer with the machine, and again where it fails."""

from __future__ import annotations

import getpass
import os
import shutil
from pathlib import Path
from typing import Final

from spool.service import files
from spool.service.base import RESTART_S, STOP_S, Job, ask, insist

# `mixed`: SIGTERM goes to the consumer alone, which ends what it started; what is left is killed.
# Nothing here needs a mount namespace: a user's own systemd often may not make one, and `dir:` peers
# live under /tmp.
_UNIT: Final = """\
{mark}
[Unit]
Description=spool, mail between agents, host {host}
StartLimitIntervalSec=0

[Service]
Type=simple
ExecStart={command}
{environment}
Restart=on-failure
RestartSec={restart_s}
TimeoutStopSec={stop_s}
KillMode=mixed
UMask=0077
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native

[Install]
WantedBy=default.target
"""
LINGER: Final = (
    "systemd ends it when you log out, and does not start it with the machine:"
    " `loginctl enable-linger` changes that (it may need sudo)"
)


def unit(job: Job) -> str:
    """The text of the unit."""
    environment = "\n".join(f"Environment={_word(f'{k}={v}')}" for k, v in job.environment.items())
    return _UNIT.format(
        mark=_mark(job),
        host=job.host,
        # Only here a dollar would be a variable.
        command=" ".join(_word(each).replace("$", "$$") for each in job.arguments),
        environment=environment,
        restart_s=RESTART_S,
        stop_s=STOP_S,
    )


def _mark(job: Job) -> str:
    return f"# written by `spool service install` for {job.home}"


def _word(text: str) -> str:
    """One word as systemd.syntax(7) takes it apart: quoted, and no specifier in it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


class Systemd:
    """See `Keeper`."""

    name = "systemd"

    def missing(self) -> str:
        """Why this machine cannot."""
        if shutil.which("systemctl") is None:
            return "there is no systemctl"
        done = ask(["systemctl", "--user", "show-environment"])
        return "" if done.returncode == 0 else "systemd does not run for this user"

    def shown(self, job: Job) -> str:
        """The unit's path and text."""
        return f"{self.path(job)}:\n\n{unit(job)}"

    def path(self, job: Job) -> Path:
        """Where the unit lies."""
        config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        return Path(config) / "systemd" / "user" / f"{job.name}.service"

    def install(self, job: Job) -> list[str]:
        """Write, enable and start it."""
        files.put(self.path(job), unit(job).encode(), _mark(job))
        insist(["systemctl", "--user", "daemon-reload"])
        insist(["systemctl", "--user", "enable", "--now", f"{job.name}.service"])
        return [f"to see how it does: systemctl --user status {job.name}", *self._linger()]

    def _linger(self) -> list[str]:
        if shutil.which("loginctl") is None:
            return []
        done = ask(["loginctl", "show-user", getpass.getuser(), "--property=Linger", "--value"])
        return [] if done.stdout.strip() == b"yes" else [LINGER]

    def starts(self, job: Job) -> bool:
        """Whether there is a unit."""
        return files.holds(self.path(job), _mark(job)) and not self.missing()

    def start(self, job: Job) -> None:
        """Start the unit."""
        insist(["systemctl", "--user", "start", f"{job.name}.service"])

    def uninstall(self, job: Job) -> bool:
        """Stop, disable and remove it."""
        if not files.holds(self.path(job), _mark(job)):
            return False
        if self.missing() == "":
            insist(["systemctl", "--user", "disable", "--now", f"{job.name}.service"])
        files.remove(self.path(job), _mark(job))
        if self.missing() == "":
            insist(["systemctl", "--user", "daemon-reload"])
        return True

    def state(self, job: Job) -> str | None:
        """What systemd says of it."""
        if not files.holds(self.path(job), _mark(job)):
            return None
        if why := self.missing():
            return why
        unit_name = f"{job.name}.service"
        words = [
            ask(["systemctl", "--user", verb, unit_name]).stdout.decode().strip() or "unknown"
            for verb in ("is-active", "is-enabled")
        ]
        return ", ".join([*words, *self._linger()])
