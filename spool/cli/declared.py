"""What a command is declared to take; click is made of it only where its help or its errors are wanted."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import click

F = TypeVar("F", bound=Callable[..., Any])


class Choice:
    """One of some words."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def __call__(self, value: str) -> str:
        """The word. Raises ValueError where it is none of them."""
        if value not in self.words:
            raise ValueError(value)
        return value


class AtLeast:
    """A whole number, this or more."""

    def __init__(self, least: int) -> None:
        self.least = least

    def __call__(self, value: str | int) -> int:
        """The number. Raises ValueError where it is none, or less."""
        if (number := int(value)) < self.least:
            raise ValueError(value)
        return number


class Taken:
    """An option or an argument, in click's own words."""

    def __init__(self, words: tuple[str, ...], keys: dict[str, Any]) -> None:
        self.words = words
        self.keys = keys

    @property
    def is_option(self) -> bool:
        """Whether it is named on the command line."""
        return any(word.startswith("-") for word in self.words)

    @property
    def name(self) -> str:
        """The parameter that gets its value, as click would call it."""
        named = [word for word in self.words if not word.startswith("-")]
        longest = max(self.words, key=lambda word: len(word) - len(word.lstrip("-")))
        return (named[0] if named else longest.lstrip("-")).replace("-", "_")

    def as_click(self) -> Callable[[F], F]:
        """The decorator that click has for it."""
        import click

        keys = dict(self.keys)
        match keys.get("type"):
            case Choice(words=words):
                keys["type"] = click.Choice(words)
            case AtLeast(least=least):
                keys["type"] = click.IntRange(min=least)
        return (click.option if self.is_option else click.argument)(*self.words, **keys)


class Command:
    """A command: what runs it, and what it takes besides the options that all have."""

    def __init__(self, body: Callable[..., None]) -> None:
        self.body = body
        # Decorators run from the last to the first.
        self.takes: tuple[Taken, ...] = tuple(reversed(_taken(body)))

    @functools.cached_property
    def as_click(self) -> click.Command:
        """The same for click."""
        import click

        from spool.cli.common import common

        @functools.wraps(self.body)
        def run(*args: Any, **values: Any) -> None:
            self.body(*args, **values)

        for each in reversed(self.takes):
            run = each.as_click()(run)
        return click.command()(common(run))


def command(body: Callable[..., None]) -> Command:
    """Declare a command; its body gets the `Call`, and its values by name."""
    return Command(body)


def option(*words: str, **keys: Any) -> Callable[[F], F]:
    """Declare an option, as `click.option`; `type` is a function, a `Choice` or an `AtLeast`."""
    return _adds(Taken(words, keys))


def argument(name: str, **keys: Any) -> Callable[[F], F]:
    """Declare an argument, as `click.argument`."""
    return _adds(Taken((name,), keys))


def usage(text: str) -> Exception:
    """The error of a command that was called wrongly."""
    import click

    return click.UsageError(text)


def bad_value(text: str) -> Exception:
    """The error of an option's value that is none."""
    import click

    return click.BadParameter(text)


def _adds(taken: Taken) -> Callable[[F], F]:
    def add(function: F) -> F:
        _taken(function).append(taken)
        return function

    return add


def _taken(function: Callable[..., Any]) -> list[Taken]:
    found: list[Taken] = function.__dict__.setdefault("takes", [])
    return found
