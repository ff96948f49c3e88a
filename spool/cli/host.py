"""`spool init`, `spool agent` and `spool whoami`: this host and who reads here."""

from __future__ import annotations

import click

from spool import home as homes
from spool import whereabouts
from spool.cli import agents_text, clients
from spool.cli.common import Call, common, common_but_agent
from spool.cli.root import Group
from spool.errors import BadInput
from spool.message import NAME


@click.command()
@common_but_agent
@click.option("--name", metavar="HOST", help="This host's name; the machine's where not given.")
@click.option(
    "--agent", "agents", metavar="NAME", multiple=True, help="An agent that reads here; may be repeated."
)
def init(call: Call, name: str | None, agents: tuple[str, ...]) -> None:
    """Make the home: a config, a database, and a key of its own.

    Again in a home that is there: everything stays, and agents that are new are added.

    \b
    Examples:
      spool init --agent claude-local
      spool init --home /srv/spool --name build --agent builder --agent tester
    """
    wanted = [*agents, *([call.agent] if call.agent and call.agent not in agents else [])]
    made = homes.init(call.home, name=name, agents=wanted)
    here = made.agents
    if missing := [agent for agent in wanted if agent not in here]:
        from spool import config_edit

        for agent in missing:
            config_edit.add_agent(call.home, agent)
        here = [*here, *missing]
    next_step = "spool peer add NAME ssh://HOST --setup" if here else "spool agent add NAME"
    view = {
        "home": str(made.home),
        "host": made.host,
        "agents": here,
        "public_key": made.public_key,
        "new": made.new,
        "next": next_step,
    }
    what = "made" if made.new else "was there already"
    call.tell(
        view,
        f"home   {made.home} ({what})\n"
        f"host   {made.host}\n"
        f"agents {', '.join(here) or 'none yet'}\n"
        f"key    {made.public_key}\n"
        f"next   {next_step}",
    )


@click.group(cls=Group)
def agent() -> None:
    """The agents of this host: who reads here, and in which programs.

    \b
    Examples:
      spool agent add claude-local
      spool agent list
      spool agent install claude-code
    """


@agent.command("add")
@common
@click.argument("name")
def agent_add(call: Call, name: str) -> None:
    """Let NAME read here; a pattern such as claude-* is allowed.

    \b
    Example:
      spool agent add claude-local
    """
    _refuse_no_name(name)
    from spool import config_edit

    new = config_edit.add_agent(call.home, name)
    call.tell({"agent": name, "changed": new}, f"{name} reads here" + ("" if new else " already"))


@agent.command("list")
@common
def agent_list(call: Call) -> None:
    """List the agents of this host: last heard of, unread mail, live sessions.

    \b
    Example:
      spool agent list
    """
    spool = call.spool()
    now = spool.now()
    standings = whereabouts.of_host(spool, now=now)
    for each in standings:
        call.tell({"agent": each.name, **each.view()})
    if standings and not call.json:
        call.draw(agents_text.here(standings, now=now))


@agent.command("remove")
@common
@click.argument("name")
def agent_remove(call: Call, name: str) -> None:
    """Let NAME read here no more; mail that it has stays on the disk.

    \b
    Example:
      spool agent remove claude-local
    """
    from spool import config_edit

    config_edit.remove_agent(call.home, name)
    call.tell({"agent": name, "changed": True}, f"{name} does not read here any more")


for _command in (clients.install, clients.uninstall, clients.snippet):
    agent.add_command(_command)


def _refuse_no_name(name: str) -> None:
    if not NAME.fullmatch(name.replace("*", "x")):
        raise BadInput(f"{name!r} is not an agent's name", hint="letters, digits, . _ - and * in a pattern")


@click.command()
@common
def whoami(call: Call) -> None:
    """Say which agent acts here, on which host, in which home.

    \b
    Example:
      spool whoami
    """
    spool = call.spool()
    view = {"agent": spool.agent(), "host": spool.config.host.name, "home": str(spool.home)}
    call.tell(view, f"{view['agent']} on {view['host']}, home {view['home']}")
