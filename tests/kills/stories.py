"""The stories by name: each a victim, and what it does when it is killed."""

from __future__ import annotations

from typing import Final

from tests.kills import linked
from tests.kills.folders import files
from tests.kills.points import Story

STORIES: Final[dict[str, Story]] = {
    "send": linked.sending_one,
    "send-file": linked.sending_a_file,
    "send-two": linked.sending_two,
    "consumer": linked.linking("consumer"),
    "serve": linked.linking("serve"),
    "sftp-push": files("sftp", push=True),
    "sftp-pull": files("sftp", pull=True),
    "consumer-files": files("consumer", push=True, pull=True),
}
