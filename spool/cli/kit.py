"""`spool peer kit`: the script spool-lite, printed."""

from __future__ import annotations

import hashlib

import click

from spool import kit
from spool.cli.common import Call


def show(call: Call) -> None:
    """Print the script as it is, or with `--json` an object with its name, size, SHA-256 and text."""
    text = kit.text()
    if not call.json:
        click.echo(text, nl=False)
        return
    raw = text.encode()
    digest = hashlib.sha256(raw).hexdigest()
    call.tell({"name": kit.NAME, "bytes": len(raw), "sha256": digest, "text": text})
