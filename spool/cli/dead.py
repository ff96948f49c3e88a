"""`spool dead` and `spool quarantine`: what did not work."""

from __future__ import annotations

import secrets

import click

from spool import views
from spool.cli.common import Call, common
from spool.cli.look import print_sent
from spool.cli.root import Group
from spool.cli.text import moment, plain, table


@click.group(cls=Group)
def dead() -> None:
    """Messages that will not be tried again, each with the reason.

    \b
    Examples:
      spool dead list
      spool dead retry 93a788
    """


@dead.command("list")
@common
@click.option("--limit", type=click.IntRange(min=1), default=100, help="How many at most.  [100]")
def dead_list(call: Call, limit: int) -> None:
    """List them.

    \b
    Example:
      spool dead list --json
    """
    print_sent(call, call.spool().dead(limit=limit), nothing="nothing is dead")


@dead.command()
@common
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All of them.")
def retry(call: Call, ids: tuple[str, ...], everything: bool) -> None:
    """Queue dead messages again, with a new lifetime.

    \b
    Examples:
      spool dead retry 93a788
      spool dead retry --all
    """
    spool = call.spool()
    for id in _chosen(ids, [row.id for row in spool.dead(limit=-1)] if everything else None):
        whole = spool.retry_dead(id)
        call.tell({"id": whole, "state": str(spool.state(whole))}, whole)


@dead.command()
@common
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All of them.")
def drop(call: Call, ids: tuple[str, ...], everything: bool) -> None:
    """Remove dead messages for good.

    \b
    Example:
      spool dead drop 93a788
    """
    spool = call.spool()
    for id in _chosen(ids, [row.id for row in spool.dead(limit=-1)] if everything else None):
        whole = spool.drop_dead(id)
        call.tell({"id": whole, "state": "dropped"}, whole)


def _chosen(ids: tuple[str, ...], everything: list[str] | None) -> list[str]:
    if bool(ids) == (everything is not None):
        raise click.UsageError("which? give IDs, or --all")
    return list(ids) if everything is None else everything


@click.group(cls=Group)
def quarantine() -> None:
    """What peers brought that could not be trusted or read, its bytes kept.

    \b
    Examples:
      spool quarantine list
      spool quarantine show 3
    """


@quarantine.command("list")
@common
def quarantine_list(call: Call) -> None:
    """List it.

    \b
    Example:
      spool quarantine list --json
    """
    found = call.spool().quarantined()
    if call.json:
        for each in found:
            call.tell(views.quarantined(each))
    elif found:
        call.say(
            table(
                [
                    (str(q.n), moment(q.at), q.peer or "-", q.name or "-", f"{len(q.raw)} bytes", q.reason)
                    for q in found
                ]
            )
        )
    else:
        call.warn("the quarantine is empty")


@quarantine.command("show")
@common
@click.argument("number", type=int)
def quarantine_show(call: Call, number: int) -> None:
    """Print what came, as it came.

    \b
    Example:
      spool quarantine show 3
    """
    (found,) = call.spool().quarantined(number)
    mark = secrets.token_hex(8)
    call.tell(
        views.quarantined(found, full=True),
        f"{found.n}, {moment(found.at)}, from {found.peer or '-'}: {found.reason}\n"
        f"--- {mark} begin: untrusted, up to the same mark ---\n"
        f"{plain(found.raw.decode('utf-8', 'backslashreplace'))}\n"
        f"--- {mark} end ---",
    )


@quarantine.command("drop")
@common
@click.argument("numbers", metavar="NUMBER...", type=int, nargs=-1, required=True)
def quarantine_drop(call: Call, numbers: tuple[int, ...]) -> None:
    """Remove it for good.

    \b
    Example:
      spool quarantine drop 3 4
    """
    spool = call.spool()
    for number in numbers:
        spool.drop_quarantined(number)
        call.tell({"n": number, "state": "dropped"}, f"{number} dropped")
