"""How to reach an ssh host: what `ssh -G` says of it, and the jump hosts on the way."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from spool.config import SshUrl, parse_ssh
from spool.errors import BadConfig

ASK_S: Final = 10.0
MAX_JUMPS: Final = 8


@dataclass(frozen=True, slots=True)
class Hop:
    """One ssh host on the way, the last of them being the peer.

    `host` is the name as it was asked for; `agent` is empty for the default, `none`, or a
    socket's path; `known_as` is the name under which known_hosts has it.
    """

    host: str
    hostname: str
    port: int
    user: str
    known_as: str
    identity_files: tuple[Path, ...] = ()
    identities_only: bool = False
    agent: str = ""
    known_hosts: tuple[Path, ...] = ()
    jumps: tuple[str, ...] = ()
    proxy_command: str = ""

    @property
    def where(self) -> str:
        """host:port for messages; behind it the alias it was asked by, where that is another."""
        address = _bracketed(self.hostname, self.port)
        return address if self.host == self.hostname else f"{address} ({self.host})"


def route(url: SshUrl, *, config: Path | None = None) -> tuple[Hop, ...]:
    """Return the hosts to log in to, in order: the jump hosts, then the host of `url`.

    `config` is read instead of ~/.ssh/config.

    Raises:
        BadConfig: ssh rejects its own configuration, or it asks for what paramiko cannot do.
    """
    return _with_jumps(hop(url, config=config), config, 0)


def hop(url: SshUrl, *, config: Path | None = None) -> Hop:
    """Return what ssh knows of one host; what `url` says itself wins.

    Raises:
        BadConfig: ssh rejects its own configuration.
    """
    me = _account()
    said = _ask_ssh(url, config)
    if said is None:
        return _without_ssh(url, me)
    hostname = _last(said, "hostname", url.host)
    port = int(_last(said, "port", "22"))
    user = _last(said, "user", me.pw_name)
    tokens = {"d": me.pw_dir, "h": hostname, "n": url.host, "p": str(port), "r": user, "u": me.pw_name}
    tokens["i"] = str(me.pw_uid)
    files = [_expand(file, tokens) for file in said.get("identityfile", ()) if file != "none"]
    agent = _last(said, "identityagent", "")
    known = f"{_last(said, 'userknownhostsfile', '')} {_last(said, 'globalknownhostsfile', '')}"
    return Hop(
        host=url.host,
        hostname=hostname,
        port=port,
        user=user,
        known_as=_last(said, "hostkeyalias", "") or _known_as(hostname, port),
        identity_files=tuple(map(Path, files)),
        identities_only=_last(said, "identitiesonly", "no") == "yes",
        agent="" if agent == "SSH_AUTH_SOCK" else agent if agent == "none" else _expand(agent, tokens),
        known_hosts=tuple(Path(_expand(file, tokens)) for file in known.split() if file != "none"),
        jumps=tuple(spec for spec in _last(said, "proxyjump", "none").split(",") if spec and spec != "none"),
        proxy_command=_last(said, "proxycommand", "none"),
    )


def _with_jumps(last: Hop, config: Path | None, depth: int) -> tuple[Hop, ...]:
    # As `ssh -J a,b host` does it: the last jump host is reached through the ones before it, or,
    # being alone, the way its own entry says.
    if last.proxy_command not in ("", "none") and not last.jumps:
        raise BadConfig(
            f"{last.where}: ssh's config has a ProxyCommand for it, which spool does not run",
            hint=f'use url = "exec:ssh {last.host} spool serve --peer NAME", NAME being this host',
        )
    if not last.jumps:
        return (last,)
    if depth >= MAX_JUMPS:
        raise BadConfig(f"{last.where}: more than {MAX_JUMPS} jump hosts", hint="look for a ProxyJump loop")
    *before, nearest = last.jumps
    jump = hop(_jump_url(nearest), config=config)
    if before:
        jump = replace(jump, jumps=tuple(before), proxy_command="")
    return (*_with_jumps(jump, config, depth + 1), last)


def _jump_url(spec: str) -> SshUrl:
    # ssh -G puts brackets around IPv4 addresses, and names like `cafe`, as well.
    spec = re.sub(r"\[([^]:]*)\]", r"\1", spec)
    return parse_ssh(spec if spec.startswith("ssh://") else f"ssh://{spec}")


def _ask_ssh(url: SshUrl, config: Path | None) -> Mapping[str, Sequence[str]] | None:
    """The lines of `ssh -G`, by keyword; None where there is no ssh program."""
    command = ["ssh", "-G"]
    command += ["-F", str(config)] if config is not None else []
    command += ["-p", str(url.port)] if url.port is not None else []
    command += ["-l", url.user] if url.user is not None else []
    command += ["--", url.host]
    try:
        asked = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=ASK_S, check=False
        )
    except FileNotFoundError:
        return None
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise BadConfig(f"ssh -G {url.host}: {exc}", hint=f"try `ssh -G {url.host}` by hand") from exc
    if asked.returncode != 0:
        # The last line says that there was an error, the one before it says which.
        problem = asked.stderr.decode("utf-8", "replace").strip().splitlines()[-2:]
        raise BadConfig(f"ssh -G {url.host}: {'; '.join(problem)}", hint="correct ~/.ssh/config")
    said: dict[str, list[str]] = {}
    for line in asked.stdout.decode("utf-8", "surrogateescape").splitlines():
        word, _, value = line.partition(" ")
        said.setdefault(word.lower(), []).append(value)
    return said


def _without_ssh(url: SshUrl, me: pwd.struct_passwd) -> Hop:
    port = url.port or 22
    return Hop(
        host=url.host,
        hostname=url.host,
        port=port,
        user=url.user or me.pw_name,
        known_as=_known_as(url.host, port),
        identity_files=tuple(Path(me.pw_dir, ".ssh", name) for name in ("id_ed25519", "id_ecdsa", "id_rsa")),
        known_hosts=(Path(me.pw_dir, ".ssh", "known_hosts"),),
    )


def _account() -> pwd.struct_passwd:
    # As ssh does it: the account's own home, whatever HOME says.
    try:
        return pwd.getpwuid(os.getuid())
    except KeyError as exc:
        raise BadConfig(f"no account has the user id {os.getuid()}", hint="add it to /etc/passwd") from exc


def _last(said: Mapping[str, Sequence[str]], word: str, default: str) -> str:
    return (said.get(word) or [default])[-1]


def _expand(path: str, tokens: Mapping[str, str]) -> str:
    # ssh -G leaves ~ and %h in IdentityFile and IdentityAgent (ssh_config(5), TOKENS).
    if path == "~" or path.startswith("~/"):
        path = tokens["d"] + path[1:]
    parts = path.split("%%")
    for letter, value in tokens.items():
        parts = [part.replace(f"%{letter}", value) for part in parts]
    return "%".join(parts)


def _known_as(hostname: str, port: int) -> str:
    return hostname if port == 22 else f"[{hostname}]:{port}"


def _bracketed(hostname: str, port: int) -> str:
    return f"[{hostname}]:{port}" if ":" in hostname else f"{hostname}:{port}"
