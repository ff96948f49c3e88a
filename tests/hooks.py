"""Hooks as Claude Code runs them: its documented inputs, and its documented outputs checked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from spool.hook import run
from spool.hook.words import Asked
from tests.hosts import ENV

SESSION: Final = "11111111-2222-4333-8444-555555555555"
VECTORS: Final = Path(__file__).parent / "vectors" / "hooks"
COMMAND: Final = (sys.executable, "-m", "spool")
Text = Annotated[str, msgspec.Meta(min_length=1)]


class Inner(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """`hookSpecificOutput`, as far as spool uses it: what the documentation asks for, and nothing else."""

    hook_event_name: Literal["SessionStart", "UserPromptSubmit", "PostToolUse", "Stop"] = msgspec.field(
        name="hookEventName"
    )
    additional_context: Text = msgspec.field(name="additionalContext")


class Context(msgspec.Struct, forbid_unknown_fields=True):
    """What adds to a session's context."""

    inner: Inner = msgspec.field(name="hookSpecificOutput")


NAMES: Final = {
    "session-start": "SessionStart",
    "user-prompt-submit": "UserPromptSubmit",
    "post-tool-use": "PostToolUse",
    "stop": "Stop",
}


def given(event: str, **more: Any) -> bytes:
    """The documented input of an event, with other values."""
    return json.dumps({**json.loads((VECTORS / f"{event}.json").read_bytes()), **more}).encode()


def said(event: str, output: bytes) -> str:
    """The text in a hook's output, which has its documented shape; empty where it printed nothing."""
    if not output:
        return ""
    inner = msgspec.json.decode(output, type=Context).inner
    assert inner.hook_event_name == NAMES[event]
    text = inner.additional_context
    # What is longer becomes a file with a preview.
    assert len(text.encode("utf-16-le")) // 2 <= 10_000
    return text


def hook(home: Path, event: str, *, agent: str | None = None, wake: str | None = None, **more: Any) -> str:
    """Run a hook in this process; the text it printed."""
    return said(event, raw_hook(home, event, given(event, **more), agent=agent, wake=wake))


def raw_hook(
    home: Path, event: str, text: bytes, *, agent: str | None = None, wake: str | None = None
) -> bytes:
    """Run a hook in this process; what it printed."""
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as sink:
        source.write(text)
        source.seek(0)
        run.run(Asked(event, str(home), agent, wake), stdin=source.fileno(), stdout=sink.fileno())
        return os.pread(sink.fileno(), 1 << 20, 0)


def start_hook(home: Path, event: str, *, command: Sequence[str] = COMMAND) -> subprocess.Popen[bytes]:
    """Start a hook as a process of its own, as Claude Code does; its input is not given yet."""
    pipe = subprocess.PIPE
    env = {**ENV, "SPOOL_HOME": str(home)}
    return subprocess.Popen([*command, "hook", event], env=env, stdin=pipe, stdout=pipe, stderr=pipe)


def end_hook(process: subprocess.Popen[bytes], text: bytes = b"", *, code: int = 0) -> bytes:
    """Give a hook its input and wait for its end, which is silent but for what it printed."""
    output, complaint = process.communicate(text or None, timeout=60)
    assert (process.returncode, complaint) == (code, b"")
    return output
