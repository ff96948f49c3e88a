"""`spool peer`: the hosts that this one exchanges mail with."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from spool import authorized, config, config_edit, log, views
from spool.api import Spool
from spool.cli import agents_text, drafts, screen
from spool.cli.common import Call, common
from spool.cli.root import Group
from spool.config import Config, Peer
from spool.errors import BadInput
from spool.looking import ago, last_error
from spool.store.base import PeerRow


@click.group(cls=Group)
def peer() -> None:
    """The hosts that this one exchanges mail with.

    \b
    Examples:
      spool peer add cloud ssh://user@host
      spool peer check cloud
    """


@peer.command("list")
@common
def peer_list(call: Call) -> None:
    """List the peers, and who lives there.

    \b
    Example:
      spool peer list --json
    """
    spool = call.spool()
    with spool.store.read() as tx:
        rows, waiting = tx.peers.all(), tx.outbox.waiting()
    lines, known, now = [], list[str](), time.time()
    for name, each in spool.config.peers.items():
        row = rows.get(name) or PeerRow(name=name)
        told = [] if each.agents else row.far_agents
        view = views.peer_status(spool, each, row, waiting.get(name, 0))
        names = {"agents": each.agents or told, "via": each.via, "far_host": row.far_host}
        # `agents` is who lives there, as it always was.
        call.tell(view | names | {"presence": view["agents"]})
        known += agents_text.under(view["agents"], now=now, indent="", title=f"agents of {name}")
        contact = "never reached" if row.last_contact is None else f"{ago(now - row.last_contact)} ago"
        who = ", ".join([*each.agents, *told, *(f"{pattern} (via)" for pattern in each.via)]) or "nobody yet"
        lines.append((name, view["state"], contact, each.url or "-", who, last_error(row)))
    if lines and not call.json:
        call.draw([*(_shaped(lines) if screen.width() else screen.listing(lines)), *known])
    elif not lines:
        call.warn("no peers; `spool peer add NAME URL` adds one")


def _shaped(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """For a terminal: below each peer who lives there, and what went wrong."""
    heads = screen.listing([row[:4] for row in rows], state=1)
    for head, (*_, who, error) in zip(heads, rows, strict=True):
        yield head
        yield from screen.report([("agents", who), *([("error", error)] if error else [])], indent="  ")


@peer.command("add")
@common
@click.argument("name")
@click.argument("url")
@click.option(
    "--agents", multiple=True, metavar="PATTERN", help="Who lives there; else those its hello names."
)
@click.option("--via", multiple=True, metavar="PATTERN", help="Who is reached through it.")
@click.option("--remote-command", metavar="COMMAND", help="What starts spool there, where it is not found.")
@click.option(
    "--identity", type=click.Choice(["spool", "user"]), help="Whose key logs in: the home's, or yours."
)
@click.option("--fingerprint", metavar="SHA256:…", help="The host key that it must have.")
@click.option("--inbox", metavar="DIR", help="A files peer's folder that we write into.")
@click.option("--outbox", metavar="DIR", help="A files peer's folder that we take from.")
@click.option("--acks/--no-acks", default=None, help="Write acks into its inbox too.")
@click.option("--mode", metavar="OCTAL", help="Of the files we write, such as 0640.")
@click.option("--poll", "poll_s", type=float, metavar="S", help="Look into its folders each S seconds.")
@click.option("--kit", is_flag=True, help="Copy spool-lite there, into the home of an sftp:// peer.")
@click.option("--secret-file", metavar="FILE", help="Of an https:// peer: the secret it shares with us.")
@click.option("--ca-file", metavar="FILE", help="The authority of its certificate, if nobody knows it.")
@click.option("--direction", metavar="A-to-B", help="Of a github:// peer: what we write, local-to-cloud.")
@click.option("--reads", metavar="B-to-A", help="What we take there, where that is not B-to-A.")
@click.option("--label", metavar="NAME", help="What all its issues are labelled with: claude-chat.")
@click.option("--login", "logins", multiple=True, metavar="LOGIN[=AGENT]", help="Whose issues count there.")
@click.option("--base-url", metavar="URL", help="Of GitHub Enterprise: https://HOST/api/v3.")
@click.option("--token-file", metavar="FILE", help="Where its token is.")
@click.option("--token-env", metavar="NAME", help="The variable with its token: GITHUB_TOKEN.")
@click.option("--setup", is_flag=True, help="Put spool there too, and have it let us in.")
@click.option("--far-name", metavar="HOST", help="With --setup: its name, if it has no home.")
@click.option("--far-agent", "far_agents", multiple=True, metavar="NAME", help="With --setup: who reads.")
@click.option("--yes", is_flag=True, help="Ask nothing; an unknown host key still needs --fingerprint.")
def peer_add(call: Call, name: str, url: str, **options: Any) -> None:
    """Add a host that this one dials, and check it.

    URL is ssh://user@host:port (an alias of ~/.ssh/config will do), or exec:COMMAND
    for anything that gives a pipe to `spool serve`. A host that has only sshd and
    scripts is sftp://user@host: its folders are ~/claude-inbox and ~/claude-outbox
    unless --inbox and --outbox say otherwise. Two folders on this host are dir:.
    The issues of a repository are github://owner/repo; a `spool web` is
    https://host:port/chat, and shares a secret with this host (--secret-file).
    Folders that are missing are made, after a question or with --yes. A host key that
    is not in known_hosts is shown and asked about, or compared with --fingerprint. The
    same again changes nothing.

    With --setup, all that an ssh:// host needs is done over your own login there, as
    ssh-copy-id does it: spool is found or installed, a home is made, our key is let in.
    All of it is shown first, and asked about once.

    \b
    Examples:
      spool peer add cloud ssh://user@host --setup --far-agent claude-cloud
      spool peer add cloud ssh://user@host --agents "claude-cloud*"
      spool peer add cloud ssh://host --fingerprint SHA256:nThbg6kX...
      spool peer add box "exec:docker exec -i box spool serve --peer laptop"
      spool peer add shared sftp://user@host --agents "build-*"
      spool peer add scripts dir: --inbox ~/in --outbox ~/out --agents "shell-*"
      spool peer add hub github://owner/repo --direction local-to-cloud
    """
    from spool.cli import adding
    from spool.cli.given import Given

    adding.add(call, name, url, Given(**options))


@peer.command("authorize")
@common
@click.argument("name")
@click.argument("key_file", metavar="[PUBLIC-KEY-FILE]", required=False)
@click.option("--secret-file", metavar="FILE", help="Let it post to `spool web` by this secret instead.")
@click.option(
    "--agents", multiple=True, metavar="PATTERN", help="Who lives there; else those its hello names."
)
@click.option("--print", "only_print", is_flag=True, help="Print the line, write no authorized_keys.")
@click.option(
    "--authorized-keys", metavar="FILE", help="Where it goes; your own ~/.ssh/authorized_keys if not given."
)
def peer_authorize(
    call: Call,
    name: str,
    key_file: str | None,
    secret_file: str | None,
    agents: tuple[str, ...],
    only_print: bool,
    authorized_keys: str | None,
) -> None:
    """Let the host NAME dial us with this key, for `spool serve` and nothing else.

    PUBLIC-KEY-FILE is the key that `spool init` printed over there; - is standard
    input. The peer is added if it is new. With --secret-file it may post to `spool web`
    here by that secret, which is made where there is no such file.

    \b
    Examples:
      spool peer authorize laptop laptop.pub
      spool peer authorize laptop --secret-file ~/.spool/keys/laptop.secret
      echo "ssh-ed25519 AAAA... spool@laptop" | spool peer authorize laptop -
    """
    if (key_file is None) == (secret_file is None):
        raise click.UsageError("a PUBLIC-KEY-FILE or --secret-file FILE: give one of them")
    if secret_file is not None:
        from spool.cli import adding_web

        adding_web.let_in(call, name, agents, secret_file)
        return
    assert key_file is not None
    here = config.load(call.home)
    line = authorized.line_for(drafts.text_from(key_file), peer=name, command=_own_command(), home=call.home)
    before = here.peers.get(name)
    wanted = msgspec.structs.replace(
        before or Peer(name=name), agents=list(agents) or (before.agents if before else [])
    )
    config.check(Config(here.host, {**here.peers, name: wanted}, here.escalation))
    path = _authorized_keys(authorized_keys)
    changed = False if only_print else authorized.write(path, line, peer=name).changed
    if wanted != before:
        config_edit.set_peer(call.home, name, {"agents": list(agents) or None})
    view = {
        "name": name,
        "line": line,
        "authorized_keys": None if only_print else str(path),
        "changed": changed or wanted != before,
    }
    said = "may dial us" if changed or wanted != before else "may dial us already"
    call.tell(view, line if only_print else f"{name} {said}; its key stands in {path}")
    if not only_print and (problem := authorized.strict_modes(path)):
        call.warn(f"warning: {problem}")


@peer.command("check")
@common
@click.argument("name")
def peer_check(call: Call, name: str) -> None:
    """Say step by step what works on the way to NAME and what does not; exit 1 if something fails.

    A link that is up stays up.

    \b
    Example:
      spool peer check cloud
    """
    from spool.cli import checking

    spool = call.spool()
    found = checking.check(spool, spool.config.peer(name))
    for step in found.steps:
        call.tell({"peer": name, **step._asdict()})
    if not call.json:
        call.draw(steps_lines(found.as_dicts()))
    if not found.ok:
        click.get_current_context().exit(1)


def steps_lines(steps: list[dict[str, Any]]) -> list[str]:
    """The steps of a check, a line each."""
    return screen.report(
        [
            (
                "ok" if step["ok"] else "FAILED",
                step["step"],
                " / ".join(step["detail"].splitlines()) + (f"; {step['hint']}" if step["hint"] else ""),
            )
            for step in steps
        ],
        state=0,
    )


@peer.command("install")
@common
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Look, and say what would be done; do nothing.")
def peer_install(call: Call, name: str, dry_run: bool) -> None:
    """Put this version of spool on the host NAME, over your own ssh login there.

    It needs Python 3.11 there, and neither root nor pip nor a way to the package
    index: what is missing is carried. A version that works there stays until the new
    one does; if anything fails, nothing of it is left. Mail and config stay as they are.

    \b
    Examples:
      spool peer install cloud --dry-run
      spool peer install cloud
    """
    from spool.cli import installing

    installing.install(call, name, dry_run=dry_run)


@peer.command("resume")
@common
@click.argument("name")
def peer_resume(call: Call, name: str) -> None:
    """Dial a stopped peer again, at once.

    \b
    Example:
      spool peer resume cloud
    """
    spool = call.spool()
    resumed = spool.resume_peer(name)
    if resumed:
        call.log_to(spool)
        log.info("peer.resumed", peer=name)
    call.tell({"name": name, "resumed": resumed}, f"{name} is dialled again" if resumed else f"{name} is up")
    if resumed and views.consumer_of(spool) is None and spool.config.peer(name).url:
        call.warn("warning: no consumer runs here: `spool up --detach` starts one")


@peer.command("remove")
@common
@click.argument("name")
@click.option(
    "--authorized-keys", metavar="FILE", help="Where its key stands; your own ~/.ssh/authorized_keys."
)
@click.option("--yes", is_flag=True, help="Even where mail waits for it: that dies.")
def peer_remove(call: Call, name: str, authorized_keys: str | None, yes: bool) -> None:
    """Remove a peer, and its line from authorized_keys.

    \b
    Example:
      spool peer remove cloud
    """
    spool = call.spool()
    _refuse_waiting(spool, name, yes)
    line_gone = authorized.remove(_authorized_keys(authorized_keys), peer=name, home=call.home)
    config_edit.remove_peer(call.home, name)
    buried = spool.forget_peer(name)
    view = {"name": name, "authorized_keys_changed": line_gone, "dead": buried}
    call.tell(view, f"{name} is removed" + (f"; {len(buried)} messages for it are dead" if buried else ""))


@peer.command("kit")
@common
@click.option("--print", is_flag=True, expose_value=False, help="Print it: what it does in any case.")
def peer_kit(call: Call) -> None:
    """Print spool-lite, a script for a host where no spool can run.

    There it needs sh, and coreutils or busybox; docs/kit.md says how it is used.

    \b
    Examples:
      spool peer kit | ssh host 'cat > spool-lite; chmod +x spool-lite'
      spool peer kit --json
    """
    from spool.cli import kit

    kit.show(call)


def _refuse_waiting(spool: Spool, name: str, yes: bool) -> None:
    spool.config.peer(name)
    with spool.store.read() as tx:
        count = tx.outbox.waiting().get(name, 0)
    if count and not yes:
        raise BadInput(
            f"{count} messages wait for {name}", hint="with --yes they die with it; `spool outbox` lists them"
        )


def _own_command() -> list[str]:
    here = Path(sys.executable).absolute().parent
    # Environments of `spool peer install` lie beside a link to the one in use, which upgrades do not move.
    stable = here.parent.parent.parent / "current" / "bin"
    if stable.is_dir() and stable.samefile(here):
        here = stable
    script = here / "spool"
    return [str(script)] if script.exists() else [str(Path(sys.executable).absolute()), "-m", "spool.cli"]


def _authorized_keys(given: str | None) -> Path:
    if given is not None:
        return Path(given).expanduser().absolute()
    return authorized.default_path()
