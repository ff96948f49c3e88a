"""The commands: where each lives, which of them are read without click, and the help of them all."""

from __future__ import annotations

from typing import Final

from spool.version import VERSION

# Where each command lives: its module under spool.cli.
COMMANDS: Final = {
    "init": "host",
    "agent": "host",
    "whoami": "host",
    "send": "send",
    "reply": "send",
    "inbox": "letters",
    "read": "read",
    "show": "read",
    "done": "letters",
    "cancel": "letters",
    "wait": "waiting",
    "outbox": "look",
    "trace": "look",
    "status": "state",
    "doctor": "doctor",
    "backup": "backup",
    "restore": "backup",
    "log": "logs",
    "dead": "dead",
    "quarantine": "dead",
    "held": "loops",
    "release": "loops",
    "escalate": "escalate",
    "search": "search",
    "archive": "archive",
    "up": "running",
    "down": "running",
    "restart": "running",
    "service": "service",
    "serve": "serve",
    "web": "web",
    "mcp": "mcp",
    "peer": "peers",
    "hook": "hooks",
    "demo": "demo",
}
# Those that an agent calls all the time: each is a `declared.Command` in its module.
QUICK: Final = frozenset({"send", "reply", "inbox", "read", "show", "done", "cancel", "wait", "status"})
HELP: Final = f"""\
spool {VERSION}: durable mail between AI agents, carried over SSH.

Usage: spool COMMAND [--home DIR] [--agent NAME] [--json] ...

Mail
  send TO -s SUBJECT [-b BODY]  queue a message; prints its id
  inbox                         what is not done, headers only; marks nothing
  read [ID] [--all]             print unread mail and mark it read
  reply ID -b BODY              answer; what is answered is done
  done ID...                    acknowledge (or --outcome rejected)
  show ID                       print any message; marks nothing
  wait [ID]                     until an answer to ID, or unread mail, is here
  cancel ID                     take back what is still queued
Where it stands
  outbox, trace ID              what is on its way; how one went and ended
  search WORDS, archive         what was said, also long ago; what is past
  dead, quarantine              what did not work
  held, release, escalate ID    answers in circles; have a person told of one
This host
  init, agent, whoami           make the home; who reads here; who I am
  up, down, restart             the consumer, which carries the mail
  service                       have it kept running: systemd, cron, launchd
  status [--check], log [-f]    what runs and what is stuck; the log
  mcp, hook EVENT               what an agent's client runs: tools; at its turns
  doctor                        what is wrong here, and what to type about it
  backup FILE, restore FILE     all of this home in one file; put it back
  demo                          two hosts on this machine, to watch it work
Other hosts
  peer                          add, authorize, list, check, resume, remove
  serve --peer NAME, web        the far end of a link; of peers over HTTPS

Examples
  spool send builder -s "Run the tests" -b "On main." --wait-for answer
  spool read
  spool reply 93a788 -b "All 15 passed."
  spool trace 93a788

ID: all of it, or its first or last six characters or more.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 timed out, 4 no such thing.
`spool COMMAND --help` says more, with examples."""
