"""The groups of commands: each name's module is imported when it is run, and errors become one line."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import click

from spool.cli import failing
from spool.cli.common import COMMON, Call
from spool.version import VERSION

# Where each command lives: its module under spool.cli.
COMMANDS: Final = {
    "init": "host",
    "agent": "host",
    "whoami": "host",
    "send": "send",
    "reply": "send",
    "inbox": "letters",
    "read": "read",
    "show": "read",
    "done": "letters",
    "cancel": "letters",
    "wait": "waiting",
    "outbox": "look",
    "trace": "look",
    "status": "state",
    "doctor": "doctor",
    "backup": "backup",
    "restore": "backup",
    "log": "logs",
    "dead": "dead",
    "quarantine": "dead",
    "held": "loops",
    "release": "loops",
    "search": "search",
    "archive": "archive",
    "up": "running",
    "down": "running",
    "restart": "running",
    "service": "service",
    "serve": "serve",
    "mcp": "mcp",
    "peer": "peers",
    "hook": "hooks",
    "demo": "demo",
}
# What callers of other tools type.
GUESSES: Final = {
    "ack": "done",
    "ls": "inbox",
    "list": "inbox",
    "mail": "send",
    "receive": "read",
    "recv": "read",
    "messages": "inbox",
    "check": "status --check` or `spool peer check",
    "get": "read` or `spool show",
    "cat": "read` or `spool show",
    "view": "read` or `spool show",
    "open": "read` or `spool show",
    "peers": "peer list",
    "agents": "agent list",
    "queue": "outbox",
    "post": "send",
    "write": "send",
    "answer": "reply",
    "logs": "log",
    "start": "up",
    "run": "up",
    "stop": "down",
    "history": "trace",
    "find": "search",
    "grep": "search",
    "export": "archive export",
    "delete": "cancel",
    "rm": "cancel",
    "requeue": "dead retry",
    "loops": "held",
    "ping": "peer check",
    "help": "--help",
    "version": "--version",
}
PART_GUESSES: Final = {
    "ls": "list",
    "show": "list",
    "rm": "remove",
    "delete": "remove",
    "new": "add",
    "test": "check",
    "requeue": "retry",
}
HELP: Final = f"""\
spool {VERSION}: durable mail between AI agents, carried over SSH.

Usage: spool COMMAND [--home DIR] [--agent NAME] [--json] ...

Mail
  send TO -s SUBJECT [-b BODY]  queue a message; prints its id
  inbox                         what is not done, headers only; marks nothing
  read [ID] [--all]             print unread mail and mark it read
  reply ID -b BODY              answer; what is answered is done
  done ID...                    acknowledge (or --outcome rejected)
  show ID                       print any message; marks nothing
  wait [ID]                     until an answer to ID, or unread mail, is here
  cancel ID                     take back what is still queued
Where it stands
  outbox, trace ID              what is on its way; how one went and ended
  search WORDS, archive         what was said, also long ago; what is past
  dead, quarantine              what did not work
  held, release ID              what agents answered in circles: for a person
This host
  init, agent, whoami           make the home; who reads here; who I am
  up, down, restart             the consumer, which carries the mail
  service                       have it kept running: systemd, cron, launchd
  status [--check], log [-f]    what runs and what is stuck; the log
  mcp, hook EVENT               what an agent's client runs: tools; at its turns
  doctor                        what is wrong here, and what to type about it
  backup FILE, restore FILE     all of this home in one file; put it back
  demo                          two hosts on this machine, to watch it work
Other hosts
  peer                          add, authorize, list, check, resume, remove
  serve --peer NAME             the far end of a link (sshd starts it)

Examples
  spool send builder -s "Run the tests" -b "On main." --wait-for answer
  spool read
  spool reply 93a788 -b "All 15 passed."
  spool trace 93a788

ID: all of it, or its first or last six characters or more.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 timed out, 4 no such thing.
`spool COMMAND --help` says more, with examples."""


class Group(click.Group):
    """A group whose commands have the common options, and which names the command that was meant."""

    guesses: Mapping[str, str] = PART_GUESSES

    def __init__(self, *args: Any, **more: Any) -> None:
        more.setdefault("no_args_is_help", False)
        super().__init__(*args, **more)
        self.params.extend(make() for make in COMMON)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's; a group alone says what it has."""
        if not args and not self.invoke_without_command:
            raise click.UsageError(f"which of {', '.join(self.list_commands(ctx))}?", ctx)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with the command that was probably meant in the error."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise click.UsageError(self._unknown(ctx, args[0]), ctx)
        found = super().resolve_command(ctx, args)
        # For the errors that click raises without saying where.
        ctx.ensure_object(Call).command = f"{ctx.command_path} {found[0]}".removeprefix("spool ")
        return found

    def _unknown(self, ctx: click.Context, name: str) -> str:
        import difflib

        names = self.list_commands(ctx)
        near = self.guesses.get(name) or next(iter(difflib.get_close_matches(name, names, n=1)), None)
        prefix = "".join(f"{word} " for word in ctx.command_path.split()[1:])
        if near is not None:
            return f"no command {name!r}; did you mean `spool {prefix}{near}`?"
        return f"no command {name!r} (there are {', '.join(names)})"


class Root(Group):
    """`spool` itself."""

    guesses = GUESSES

    def __init__(self) -> None:
        settings: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 80}
        if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            # https://no-color.org; else click decides by whether it prints on a terminal.
            settings["color"] = False
        super().__init__(
            "spool", invoke_without_command=True, callback=_print_help, context_settings=settings
        )
        self.params.append(_version_option())

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, its module imported now; None where there is none."""
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        found = getattr(importlib.import_module(f"spool.cli.{module}"), cmd_name.replace("-", "_"))
        assert isinstance(found, click.Command)
        return found

    def get_help(self, ctx: click.Context) -> str:
        """The whole on one screen."""
        return HELP

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run one command and end with its exit code; an error is one line, or one JSON object."""
        words = list(sys.argv[1:] if args is None else args)
        self._main_shell_completion(extra, "spool", complete_var)
        sys.exit(self._run(words, extra))

    def _run(self, words: list[str], extra: Mapping[str, Any]) -> int:
        call = Call()
        try:
            with self.make_context("spool", list(words), obj=call, **extra) as ctx:
                self.invoke(ctx)
            sys.stdout.flush()
            return 0
        except click.exceptions.Exit as exc:
            return exc.exit_code
        except (KeyboardInterrupt, click.Abort):
            return 130
        except BrokenPipeError:
            _forget_stdout()
            return 0
        except OSError as exc:
            if exc.errno == errno.EPIPE:
                _forget_stdout()
                return 0
            return failing.tell(exc, as_json=call.json)
        except click.UsageError as exc:
            # The options may not have been read as far as --json.
            plain_words = words[: words.index("--")] if "--" in words else words
            return failing.tell(exc, as_json=call.json or "--json" in plain_words, command=call.command)
        except Exception as exc:  # noqa: BLE001  the last door: one line, the traceback on demand
            return failing.tell(exc, as_json=call.json)


def _print_help() -> None:
    if click.get_current_context().invoked_subcommand is None:
        click.echo(HELP)


def _version_option() -> click.Option:
    def show(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            click.echo(f"spool {VERSION}")
            ctx.exit()

    return click.Option(["--version"], is_flag=True, expose_value=False, is_eager=True, callback=show)


def _forget_stdout() -> None:
    """The reader has gone: what is still buffered must not be complained about at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
