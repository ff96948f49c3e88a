"""The groups of commands: each name's module is imported when it is run, and errors become one line."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import click

from spool.cli.common import COMMON, Call
from spool.cli.declared import Command
from spool.cli.ending import ended
from spool.cli.names import COMMANDS as COMMANDS
from spool.cli.names import HELP as HELP
from spool.version import VERSION

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
        if isinstance(found, Command):
            return found.as_click
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
            with call.closing, self.make_context("spool", list(words), obj=call, **extra) as ctx:
                self.invoke(ctx)
            sys.stdout.flush()
        except BaseException as exc:  # noqa: BLE001  the last door: one line, the traceback on demand
            return ended(exc, call, words)
        return 0


def _print_help() -> None:
    if click.get_current_context().invoked_subcommand is None:
        click.echo(HELP)


def _version_option() -> click.Option:
    def show(ctx: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            click.echo(f"spool {VERSION}")
            ctx.exit()

    return click.Option(["--version"], is_flag=True, expose_value=False, is_eager=True, callback=show)
