"""`spool send` and `spool reply`: messages on their way."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from spool import views
from spool.cli import attaching, drafts
from spool.cli.common import Call
from spool.cli.declared import Choice, argument, command, option, usage
from spool.cli.kinds import deadline, json_pair, length, pair, priority
from spool.errors import NotFound, SecretFound
from spool.looking import CITATION
from spool.message import FIELDS
from spool.states import State

if TYPE_CHECKING:
    from spool.api import Posted, Spool

F = TypeVar("F", bound=Callable[..., Any])
WAIT_S: Final = 100.0
# The option that sets a field which --field refuses.
_OPTIONS: Final = {
    "from": "use --agent",
    "to": "name the agent before the options",
    "requires_response": "use --requires-response",
    "timestamp": "spool writes it; a message with its own goes with --message",
    "citation": "spool writes it; a message with its own goes with --message",
    "attachments": "use --attach",
}


class Content(NamedTuple):
    """What a message says, as the options gave it."""

    subject: str | None
    body: str | None
    body_file: str | None
    type: str | None
    priority: str | None
    deadline: str | None
    expires: str | None
    requires_response: bool
    context: tuple[tuple[str, str], ...]
    context_json: tuple[tuple[str, Any], ...]
    field: tuple[tuple[str, str], ...]
    attach: tuple[str, ...]

    def extra(self) -> dict[str, str]:
        """The sender's own fields.

        Raises:
            click.UsageError: a field that has an option of its own.
        """
        for name, _ in self.field:
            if name in FIELDS:
                raise usage(f"--field {name}: {_OPTIONS.get(name, f'use --{name}')}")
        return dict(self.field)

    def draft(self) -> dict[str, Any]:
        """JSON names and values; standard input is read where it was asked for.

        Raises:
            click.UsageError: two bodies.
        """
        context = {**dict(self.context), **dict(self.context_json)}
        given = {
            "subject": self.subject,
            "body": drafts.body_of(self.body, self.body_file),
            "type": self.type,
            "priority": self.priority,
            "deadline": self.deadline,
            "expires": self.expires,
            "requires_response": self.requires_response or None,
            "context": context or None,
        }
        return {name: value for name, value in given.items() if value is not None}


_CONTENT: Final = (
    option("-s", "--subject", metavar="TEXT", help="One line on what it is about."),
    option("-b", "--body", metavar="TEXT", help="The text; - reads it from standard input."),
    option("--body-file", metavar="FILE", help="A file with the text; - is standard input."),
    option("--type", metavar="TYPE", help="question, blocker, status-update, deploy-ready, …"),
    option("--priority", type=priority, metavar="P1", help="P0 goes first; P2 where not given."),
    option(
        "--deadline",
        type=deadline,
        metavar="WHEN",
        help="When an answer is wanted: RFC 3339, or 30m, 2h, 1d.",
    ),
    option("--expires", type=deadline, metavar="WHEN", help="When it is not worth delivering any more."),
    option("--requires-response", is_flag=True, help="Say that an answer is wanted."),
    option("--context", type=pair, multiple=True, metavar="K=V", help="Into `context`, as text."),
    option("--context-json", type=json_pair, multiple=True, metavar="K=JSON", help="The same, as JSON."),
    option("--field", type=pair, multiple=True, metavar="K=V", help="A field of your own, as text."),
    option(
        "--attach", multiple=True, metavar="FILE", help="A file that goes with it; its reader gets a path."
    ),
    option("--allow-secrets", is_flag=True, hidden=True),
)


def content_options(function: F) -> F:
    """The options that say what a message says."""
    for each in reversed(_CONTENT):
        function = each(function)
    return function


def _content(options: dict[str, Any]) -> Content:
    return Content(**{name: options[name] for name in Content._fields})


@command
@argument("to", required=False)
@content_options
@option("--id", metavar="ID", help="Your own id: the same call again sends nothing twice.")
@option("--re", metavar="ID", help="The message this one answers.")
@option("--thread", metavar="ID", help="The thread it belongs to.")
@option("--message", metavar="FILE", help="Send FILE: one JSON object, or one a line; - is stdin.")
@option(
    "--wait-for",
    type=Choice("received", "read", "answer", "done"),
    help="Wait until it is that far; exit 3 if not in time.",
)
@option(
    "--timeout", type=length, metavar="S", default=WAIT_S, help="How long to wait; 100 s where not given."
)
def send(
    call: Call,
    to: str | None,
    id: str | None,
    re: str | None,
    thread: str | None,
    message: str | None,
    wait_for: str | None,
    timeout: float,
    allow_secrets: bool,
    **options: Any,
) -> None:
    """Queue a message for an agent. Its id is printed once it is on the disk.

    TO is an agent, or agent@host. The message is delivered when its host can be
    reached; a warning on stderr says when that may take long.

    \b
    Examples:
      spool send builder -s "Run the tests" -b "On main, please."
      git diff | spool send reviewer -s "Look at this" -b -
      spool send ops@cloud -s "Disk full" --priority P0 --deadline 30m \\
        --context host=web1 --context-json used_percent=98
      spool send builder -s "Ready?" --wait-for answer --timeout 60
      spool send builder -s "The build log" --attach build.log --attach core.zst
      spool send --message letters.ndjson
    """
    content = _content(options)
    spool = call.spool()
    if message is not None:
        if any((to, id, re, thread, *content)):
            raise usage("--message takes the whole message from the file: leave TO and the rest out")
        found = drafts.from_file(message)
        allowed = _allowed(spool, found.texts(), asked=allow_secrets)
        posted = found.post(spool, bool(allowed))
    else:
        if to is None:
            raise usage("TO is missing: who is it for?")
        more = {"to": to, "id": id, "re": re and _whole_id(spool, re), "thread": thread}
        draft = content.extra() | content.draft() | {k: v for k, v in more.items() if v is not None}
        allowed = _allowed(spool, drafts.texts_of(draft), content.attach, asked=allow_secrets)
        with attaching.bar("copying") as told:
            posted = spool.post([draft], allow_secrets=bool(allowed), attach=content.attach, told=told)
    _log_allowed(call, spool, allowed)
    _print(call, spool, posted)
    if wait_for is not None:
        _wait(call, spool, posted, wait_for, timeout)


@command
@argument("answered", metavar="ID")
@content_options
@option("--keep-open", is_flag=True, help="Answer, and leave the message open.")
def reply(call: Call, answered: str, keep_open: bool, allow_secrets: bool, **options: Any) -> None:
    """Answer a message in its thread; what is answered is done.

    ID may be shortened to six characters or more. The answer goes to the host that
    the message came from. Prints the answer's id.

    \b
    Examples:
      spool reply 93a788 -b "All 15 passed."
      spool reply 93a788 --body-file report.md --keep-open
    """
    content = _content(options)
    draft, extra = content.draft(), content.extra()
    if "body" not in draft:
        raise usage("say what you answer: -b TEXT, -b -, or --body-file FILE")
    spool = call.spool()
    allowed = _allowed(spool, drafts.texts_of(extra | draft), content.attach, asked=allow_secrets)
    with attaching.bar("copying") as told:
        posted = spool.post_reply(
            answered,
            keep_open=keep_open,
            allow_secrets=bool(allowed),
            extra=extra,
            attach=content.attach,
            told=told,
            **draft,
        )
    _log_allowed(call, spool, allowed)
    _print(call, spool, [posted])


def _print(call: Call, spool: Spool, posted: list[Posted]) -> None:
    warned: set[str] = set()
    for each, view in zip(posted, views.posted_all(spool, posted), strict=True):
        call.tell(view, each.id)
        for warning in view["warnings"]:
            if warning not in warned and not call.json:
                call.warn(f"warning: {warning}")
            warned.add(warning)
    if any(each.held for each in posted):
        call.log_to(spool)
        spool.log_held(posted)


def _wait(call: Call, spool: Spool, posted: list[Posted], what: str, timeout: float) -> None:
    if call.json:
        # As text, `_print` has warned of it already.
        from spool.cli.waiting import warn_idle

        warn_idle(call, spool, *{each.peer for each in posted})
    for each in posted:
        if what == "answer":
            from spool.cli.read import print_rows

            answer = spool.wait_for_answer(each.id, timeout=timeout)
            print_rows(call, spool, [answer])
            continue
        with attaching.bar("sending", total=sum(file.bytes for file in each.attachments) or 1) as told:
            meanwhile = attaching.watch(spool, each, told)
            row = spool.wait_for_state(each.id, State(what), timeout=timeout, meanwhile=meanwhile)
        call.tell({"id": row.id, "state": str(row.state)})
        if not call.json:
            call.warn(f"{row.id} is {row.state}")


def _whole_id(spool: Spool, given: str) -> str:
    """The id that a shortened one or a citation means; one that is not here is taken as it is."""
    try:
        sent, received = spool.find(given)
    except NotFound:
        return given.removeprefix(CITATION)
    row = received or sent
    return row.id if row is not None else given


def _allowed(spool: Spool, texts: list[str], files: Sequence[str] = (), *, asked: bool) -> list[str]:
    """The rules that what is sent breaks and may break, by a person's word or the config's."""
    if not asked:
        return []
    from spool import attachments, secret_rules

    told = {hit.rule for text in texts if (hit := secret_rules.find(text)) is not None}
    told |= {rule for path in files if (rule := attachments.secret_rule(Path(path).expanduser())) is not None}
    rules = sorted(told)
    if not rules:
        return []
    at_terminal = sys.stdin.isatty() and sys.stderr.isatty()
    if not (at_terminal or spool.config.host.secrets == "ask"):
        raise SecretFound(
            f"looks like a credential (rule {rules[0]}); not sent",
            hint='--allow-secrets needs a person at a terminal, or `secrets = "ask"` in spool.toml',
        )
    asks = f"This looks like a credential ({', '.join(rules)}). Send it all the same?"
    if at_terminal and not _confirmed(asks):
        raise SecretFound(f"looks like a credential (rule {rules[0]}); not sent", hint="take it out")
    return rules


def _confirmed(asks: str) -> bool:
    import click

    return click.confirm(asks, err=True)


def _log_allowed(call: Call, spool: Spool, rules: list[str]) -> None:
    if not rules:
        return
    from spool import log

    call.log_to(spool)
    for rule in rules:
        log.warning("message.secret_allowed", rule=rule)
