"""What exists is documented: commands, options, error kinds, frames, events, config keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from spool import config, errors, escalation_rules, web_rules
from spool.cli.root import Root
from spool.transports import frames

ROOT = Path(__file__).parents[2]
DOCS = {path.name: path.read_text() for path in (ROOT / "docs").glob("*.md")}


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its words."""

    def walk(command: click.Command, words: str, ctx: click.Context) -> Iterator[tuple[str, click.Command]]:
        if not isinstance(command, click.Group):
            yield words, command
            return
        for name in command.list_commands(ctx):
            inner = command.get_command(ctx, name)
            assert inner is not None
            yield from walk(
                inner, f"{words} {name}".strip(), click.Context(inner, parent=ctx, info_name=name)
            )

    root = Root()
    yield from walk(root, "", click.Context(root, info_name="spool"))


@pytest.mark.parametrize(("words", "command"), list(commands()), ids=lambda value: str(value))
def test_every_command_and_option_is_documented(words: str, command: click.Command) -> None:
    """A row of docs/commands.md begins with it and names its options."""
    rows = [line for line in DOCS["commands.md"].splitlines() if line.startswith(f"| `spool {words}")]
    assert rows, f"spool {words} is not in docs/commands.md"
    options = {
        name
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in parameter.opts
        if name.startswith("--")
    }
    everywhere = {"--json", "--agent", "--home", "--help", "--message"}
    missing = [name for name in sorted(options - everywhere) if f"`{name}`" not in " ".join(rows)]
    assert not missing


def test_every_error_kind_is_documented() -> None:
    """Scripts branch on them."""
    missing = [kind for kind in errors.kinds() if f"| `{kind}` |" not in DOCS["errors.md"]]
    assert not missing


def test_every_error_kind_has_its_exit_code_there() -> None:
    """The table says the code that the command ends with."""
    for kind, cls in errors.kinds().items():
        assert f"| `{kind}` | {cls.exit_code} |" in DOCS["errors.md"]


def test_every_frame_and_field_is_documented() -> None:
    """Another implementation could be written from docs/protocol.md."""
    text = DOCS["protocol.md"]
    for tag in frames.KNOWN:
        assert f"| `{tag}` |" in text
    for cls in (
        frames.Hello,
        frames.Item,
        frames.Result,
        frames.Answer,
        frames.AgentNow,
        frames.Ping,
        frames.Pong,
        frames.Bye,
    ):
        for field in cls.__struct_encode_fields__:
            assert f"`{field}`" in text, f"{cls.__name__}.{field}"


def test_every_event_is_documented() -> None:
    """Who watches the log knows what may come."""
    said = set()
    for path in [*(ROOT / "spool").rglob("*.py"), *(ROOT / "workers").rglob("*.py")]:
        text = path.read_text()
        said.update(re.findall(r'log\.(?:info|warning|error|batch)\(\s*"([a-z_.]+)"', text))
        said.update(re.findall(r'_warnings\.append\(\s*\(\s*"([a-z_.]+)"', text))
    assert "message.stored" in said
    assert not [event for event in sorted(said) if f"`{event}`" not in DOCS["log.md"]]
    # Told under a name that is put together: message.sent and its like.
    put_together = {f"message.{verb}" for verb in ("sent", "relayed", "received", "read", "done")}
    documented = set(re.findall(r"`([a-z]+\.[a-z_]+)`", DOCS["log.md"]))
    assert documented - said <= put_together | {"huey.said", "spool.jsonl"}


def test_every_config_key_is_documented() -> None:
    """Each key of spool.toml has its row."""
    for cls in (config.Host, config.Peer, escalation_rules.Rules, web_rules.Web):
        for field in cls.__struct_fields__:
            if (cls, field) != (config.Peer, "name"):
                assert f"| `{field}` |" in DOCS["commands.md"], field


def test_links_between_the_documents_lead_somewhere() -> None:
    """No link to a file that is not there."""
    for path in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
