"""Lines in the user's crontab: `spool up` again and again, which is content where one runs."""

from __future__ import annotations

import re
import shlex
import shutil
from typing import Final

from spool.errors import SpoolError
from spool.service.base import Job, ask, insist, told

EVERY: Final = "*/5 * * * *"
BOOT: Final = "@reboot"
_PLAIN: Final = re.compile(r"[A-Za-z0-9_/.,:=@+ -]")


def lines(job: Job) -> list[str]:
    """The lines, each marked as ours at its end; the shell takes the mark for a comment."""
    settings = [f"{name}={_word(value)}" for name, value in job.environment.items()]
    # Cron mails what is printed: errors only.
    words = [*settings, *map(_word, job.arguments), *([] if job.once else ["--detach"]), ">/dev/null"]
    command = f"{' '.join(words)} {_mark(job)}"
    times = [EVERY] if job.once else [BOOT, EVERY]
    return [f"{when} {command}" for when in times]


def without(table: bytes, job: Job) -> bytes:
    """A crontab without our lines; all others byte by byte as they were."""
    mark = f" {_mark(job)}\n".encode()
    return b"".join(line for line in table.splitlines(keepends=True) if not line.endswith(mark))


def _mark(job: Job) -> str:
    return f"# spool service: {_octal(str(job.home))}"


def _word(text: str) -> str:
    """One word of a shell, without `%`: some crons make a line's end of it, some even of `\\%`."""
    return shlex.quote(text) if "%" not in text else f"\"$(printf '{_octal(text)}')\""


def _octal(text: str) -> str:
    """As printf(1) takes it: every byte that means anything to a shell, a cron or printf by its number."""
    return "".join(chr(byte) if _PLAIN.match(chr(byte)) else f"\\{byte:03o}" for byte in text.encode())


class Cron:
    """See `Keeper`."""

    name = "cron"

    def missing(self) -> str:
        """Why this machine cannot."""
        return "" if shutil.which("crontab") else "there is no crontab"

    def shown(self, job: Job) -> str:
        """The lines."""
        return "in your crontab, beside what is there:\n\n" + "\n".join(lines(job)) + "\n"

    def install(self, job: Job) -> list[str]:
        """Put the lines at the end; our older ones go."""
        rest = without(_table(), job)
        if rest and not rest.endswith(b"\n"):
            rest += b"\n"
        insist(["crontab", "-"], stdin=rest + "".join(f"{line}\n" for line in lines(job)).encode())
        return ["it starts within five minutes; `spool up --detach` starts it now"] if not job.once else []

    def starts(self, job: Job) -> bool:
        """Cron starts nothing when it is told to."""
        return False

    def start(self, job: Job) -> None:
        """It does so by itself, within five minutes."""

    def uninstall(self, job: Job) -> bool:
        """Take our lines out."""
        table = _table()
        rest = without(table, job)
        if rest == table:
            return False
        insist(["crontab", "-"], stdin=rest)
        return True

    def state(self, job: Job) -> str | None:
        """Whether our lines are there, and as they would be written today."""
        if self.missing():
            return None
        table = _table()
        if without(table, job) == table:
            return None
        there = table.decode("utf-8", "replace").splitlines()
        ways = [
            [*lines(Job(job.home, job.host, job.python, job.import_path, once))] for once in (False, True)
        ]
        current = any(all(line in there for line in way) for way in ways)
        return "in the crontab" if current else "in the crontab, of another time: `spool service install`"


def _table() -> bytes:
    done = ask(["crontab", "-l"])
    if done.returncode == 0:
        return done.stdout
    if b"no crontab" in done.stderr.lower() or not done.stderr.strip():
        return b""
    # Whatever this means: writing now could lose what is there.
    raise SpoolError(f"crontab -l: {told(done)}", hint="try it by hand")
