"""`spool peer install`: spool put on a far host."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator

from spool import config
from spool import home as homes
from spool.authorized import parse_key
from spool.cli.common import Call
from spool.cli.text import one_line
from spool.config import Peer
from spool.errors import CannotInstall
from spool.far import putting
from spool.far.facts import Facts
from spool.far.shell import Far
from spool.version import VERSION


def install(call: Call, name: str, *, dry_run: bool) -> None:
    """Look, say what is to be done, and do it.

    Raises:
        UnknownPeer, BadConfig: no such peer, or one without a host to log in to.
        CannotInstall: spool cannot run there, or not be put there; nothing of it is left.
        LinkError: the host cannot be logged in to, or the connection broke.
    """
    here = config.load(call.home)
    peer, key = here.peer(name), homes.public_key(call.home)
    with files_road(peer), putting.arrived(peer, call.home) as far:
        facts = far.look(far.find_python(), tidy=not dry_run, key=parse_key(key)[1])
        putting.refuse_impossible(facts)
        plan = putting.plan(facts)
        for line in plan:
            call.tell({"peer": name, "plan": line}, line)
        if dry_run and plan:
            call.tell({"peer": name, "version": VERSION, "path": None, "changed": False})
            return
        tell = teller(call, name)
        done = putting.put(far, facts, tell)
        for line in lines_of(facts, here.host.name) if done.changed else []:
            _renew(far, facts, line, tell, spool=done.path, ours=here.host.name, key=key)
    view = {"peer": name, "version": VERSION, "path": done.path, "changed": done.changed}
    call.tell(view, f"spool {VERSION} {'is there' if done.changed else 'was there already'}: {done.path}")


def lines_of(facts: Facts, ours: str) -> list[str]:
    """The lines there by which our key may run `spool serve` as us."""
    return [
        line
        for line in facts.key_lines
        if line.startswith("restrict,command=") and f' serve --peer {ours}"' in line
    ]


def _renew(far: Far, facts: Facts, line: str, tell: putting.Tell, *, spool: str, ours: str, key: str) -> None:
    """Have our key start the new spool, where its line names the one that was there before."""
    command, _, _ = line.removeprefix('restrict,command="').rpartition(" serve --peer")
    words = shlex.split(command.replace('\\"', '"'))
    if words[:1] == [f"{facts.home}/.local/share/spool/current/bin/spool"] or "--home" not in words:
        return
    tell("authorize", f"{ours}, with the new spool")
    home = words[words.index("--home") + 1]
    argv = [spool, "--home", home, "peer", "authorize", ours, "-", "--json"]
    status, _, err = far.run(facts.python, argv, stdin=key)
    if status != 0:
        raise CannotInstall(
            f"the new spool is there, but our key still starts the old one: {one_line(err)[-300:]}",
            hint=f"on that host: `spool peer authorize {ours} KEY-FILE`",
        )


def teller(call: Call, name: str) -> putting.Tell:
    """What prints each step before it is taken."""

    def tell(step: str, detail: str) -> None:
        call.tell({"peer": name, "step": step, "detail": detail}, f"  {step}: {detail}")

    return tell


@contextlib.contextmanager
def files_road(peer: Peer) -> Iterator[None]:
    """Where spool cannot be put, name the road that works without it."""
    try:
        yield
    except CannotInstall as exc:
        url = "sftp:" + peer.url.partition(":")[2]
        exc.hint = exc.hint or (
            f'no spool is needed there with `spool peer add {peer.name} {url} --agents "PATTERN"`'
        )
        raise
