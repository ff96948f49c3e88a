"""`spool backup` and `spool restore`: the whole of a home in one file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spool import authorized
from spool.cli.attaching import bar
from spool.cli.common import Call, common
from spool.cli.text import plain
from spool.looking import ago
from spool.version import VERSION
from spool.views import when

if TYPE_CHECKING:
    from spool.backup.manifest import Manifest
    from spool.backup.restoring import Restored


@click.command()
@common
@click.argument("file", metavar="FILE")
@click.option("--with-keys", is_flag=True, help="With the private key, and the lines that let peers in.")
@click.option("--authorized-keys", metavar="FILE", help="Where those stand; your own ~/.ssh/authorized_keys.")
@click.option("--force", is_flag=True, help="Replace a file of that name.")
def backup(call: Call, file: str, with_keys: bool, authorized_keys: str | None, force: bool) -> None:
    """Write all of this home to one file, while it is in use: database, config, attachments.

    What was committed before is in it, and who writes meanwhile does not wait. It is
    read again and checked before it gets its name. FILE is a tar, compressed where it
    ends with .gz or .tgz, for its owner alone. Keys are only in it with --with-keys:
    without them, whoever restores it elsewhere gets a new key.

    \b
    Examples:
      spool backup /mnt/backup/laptop.tar.gz
      spool backup --with-keys --force ~/spool.tar
    """
    from spool import log
    from spool.backup import packing

    spool = call.spool()
    call.log_to(spool)
    out = Path(file).expanduser().absolute()
    keys = Path(authorized_keys).expanduser().absolute() if authorized_keys else authorized.default_path()
    wanted = packing.Wanted(out, force=force, keys=keys if with_keys else None)
    with bar("backup") as told:
        made = packing.pack(
            spool.home,
            spool.store,
            wanted,
            now=time.time(),
            version=VERSION,
            tell=lambda _, done, whole: told(done, whole),
        )
    size = out.stat().st_size
    log.info("store.backed_up", file=str(out), bytes=size, keys=made.has_keys)
    call.tell({"file": str(out), "bytes": size, **_view(made)}, _said(out, size, made))


@click.command()
@common
@click.argument("file", metavar="FILE")
@click.option("--force", is_flag=True, help="Move the home that is there aside.")
def restore(call: Call, file: str, force: bool) -> None:
    """Put a backup back as the home: all of it, or nothing.

    The home must be missing or empty; with --force the one that is there is moved
    aside, never removed. Nothing may run there. A restored home knows less than its
    peers do: what that means is printed, and both sides ask each other at the next link.

    \b
    Examples:
      spool restore /mnt/backup/laptop.tar.gz
      spool restore laptop.tar --force
    """
    from spool import log
    from spool.backup import restoring

    now = time.time()
    with bar("restore") as told:
        made = restoring.restore(
            Path(file).expanduser().absolute(), call.home, force=force, now=now, tell=told
        )
    log.configure(made.home, role="cli", host=made.manifest.host, version=VERSION, stderr=False)
    log.warning(
        "store.restored", made_at=when(made.manifest.made_at), file=file, aside=made.aside and str(made.aside)
    )
    notes = list(_notes(made, now))
    call.tell(_restored(made, notes), "\n".join([f"{made.home} is host {made.manifest.host} again", *notes]))


def _view(made: Manifest) -> dict[str, Any]:
    return {
        "host": made.host,
        "schema": made.schema,
        "spool": made.spool,
        "made_at": when(made.made_at),
        "attachments": len(made.attachments),
        "keys": made.has_keys,
    }


def _said(out: Path, size: int, made: Manifest) -> str:
    keys = "with the private key: guard it" if made.has_keys else "without keys (--with-keys)"
    return f"{out}: {size:,} bytes, checked; database, config, {len(made.attachments)} attachments, {keys}"


def _restored(made: Restored, notes: list[str]) -> Mapping[str, Any]:
    return {
        "home": str(made.home),
        **_view(made.manifest),
        **made.counts._asdict(),
        "public_key": made.public_key,
        "new_key": made.new_key,
        "aside": made.aside and str(made.aside),
        "notes": notes,
    }


def _notes(made: Restored, now: float) -> list[str]:
    """What a person must know: the backup is older than what the peers know."""
    made_at, counts = when(made.manifest.made_at), made.counts
    notes = [
        f"it stands as of {made_at}, {ago(now - made.manifest.made_at)} ago:"
        f" {counts.queued} queued, {counts.on_its_way} on their way,"
        f" {counts.unread} unread, {counts.read} read",
        "sent from here since then: what was delivered is where it went, and not known here any more;"
        " what was not is gone",
        "queued then and delivered since: it is offered again, and each peer knows it and keeps its one copy",
        "came here since then: each peer with this spool is told at its next link, and offers again what it"
        " has not seen done; what older peers and folders brought is gone here, ask for it",
        "read or done here since then: it is open again. Tell its agents before they do it twice",
    ]
    if made.aside is not None:
        notes.append(f"the home that was here is in {made.aside}; its log names what it had")
    if made.new_key:
        notes.append(f"a new key: on each host that is dialled, `spool peer authorize` it: {made.public_key}")
    if made.lines is not None:
        notes.append(
            f"the lines that let peers in are in {made.lines}: add what lacks to ~/.ssh/authorized_keys"
        )
    notes.append("next: `spool doctor`, then `spool up --detach`")
    return [plain(note) for note in notes]
