"""What all commands share: the options each takes, and how each prints."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from spool import home as homes
from spool.cli.text import one_line, plain

if TYPE_CHECKING:
    import click

    from spool.api import Spool

F = TypeVar("F", bound=Callable[..., Any])


class Call:
    """One call of spool: where its home is, who acts, and how it prints."""

    def __init__(self) -> None:
        self.home_given: str | None = None
        self.agent: str | None = None
        self.json = False
        self.command = ""
        # What is closed when the command ends.
        self.closing = contextlib.ExitStack()

    @property
    def home(self) -> Path:
        """`--home`, else `$SPOOL_HOME`, else `~/.spool`."""
        if self.home_given:
            return Path(self.home_given).expanduser().absolute()
        return homes.default()

    def spool(self) -> Spool:
        """The spool of this call, closed when the command ends. Raises as `Spool`."""
        from spool.api import Spool

        return self.closing.enter_context(Spool(self.home, agent=self.agent))

    def log_to(self, spool: Spool) -> None:
        """What happens from here on is logged in the home: for the few commands whose doing is an event."""
        from spool import log
        from spool.version import VERSION

        log.configure(spool.home, role="cli", host=spool.config.host.name, version=VERSION, stderr=False)

    def say(self, text: str) -> None:
        """Print text, made safe for a terminal, and flush."""
        echo(plain(text))

    def draw(self, lines: Iterable[str]) -> None:
        """Print lines that `screen` made: they are safe, and their colours stay."""
        echo("\n".join(lines))

    def tell(self, value: Mapping[str, Any], text: str | None = None) -> None:
        """Print one object as a line of JSON where asked for, else the text, if any."""
        if self.json:
            echo(json_line(value))
        elif text is not None:
            self.say(text)

    def warn(self, text: str) -> None:
        """One line on stderr, the same with `--json`."""
        echo(f"spool: {one_line(text)}", err=True)


def echo(text: str | bytes, *, err: bool = False) -> None:
    """Print a text and a line end, or bytes as they are, and flush."""
    # Without click there is no terminal and no odd encoding either: see quick.run.
    if "click" in sys.modules:
        import click

        click.echo(text, nl=isinstance(text, str), err=err)
        return
    stream = sys.stderr if err else sys.stdout
    if isinstance(text, str):
        stream.write(text + "\n")
    else:
        stream.flush()
        stream.buffer.write(text)
    stream.flush()


def json_line(value: Mapping[str, Any]) -> bytes:
    """One object as a line of JSON, with the version of its form."""
    return msgspec.json.encode({"v": 1, **value}) + b"\n"


def _keep(attribute: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        call = ctx.find_object(Call)
        if value and call is not None:
            setattr(call, attribute, value)

    return keep


def home_option() -> click.Option:
    """`--home DIR`."""
    import click

    return click.Option(
        ["--home"],
        metavar="DIR",
        expose_value=False,
        callback=_keep("home_given"),
        help="The spool home; $SPOOL_HOME, else ~/.spool.",
    )


def agent_option() -> click.Option:
    """`--agent NAME`."""
    import click

    return click.Option(
        ["--agent"],
        metavar="NAME",
        expose_value=False,
        callback=_keep("agent"),
        help="Who acts; $SPOOL_AGENT, else the only one here.",
    )


def json_option() -> click.Option:
    """`--json`."""
    import click

    return click.Option(
        ["--json"],
        is_flag=True,
        expose_value=False,
        callback=_keep("json"),
        help="One JSON object a line; errors too, on stderr.",
    )


COMMON: Final = (json_option, agent_option, home_option)


def common(function: F) -> F:
    """Give a command the options that all have, and the `Call` as its first argument."""
    return _with(function, COMMON)


def common_but_agent(function: F) -> F:
    """The same for a command that has its own `--agent`."""
    return _with(function, (json_option, home_option))


def _with(function: F, options: tuple[Callable[[], click.Option], ...]) -> F:
    import click

    wrapped: Any = click.pass_obj(function)
    own = list(getattr(wrapped, "__click_params__", ()))
    # click turns the order round: these come last in the help.
    wrapped.__click_params__ = [*(make() for make in options), *own]
    made: F = wrapped
    return made
