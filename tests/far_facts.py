"""What a look at a far host might have found."""

from __future__ import annotations

from typing import Any

import msgspec

from spool.far.facts import NEED_BYTES, Facts


def facts(**changed: Any) -> Facts:
    """A Debian 12 with nothing of spool's, but for what is changed."""
    return msgspec.structs.replace(
        Facts(
            python="/usr/bin/python3",
            version=(3, 11),
            system="linux",
            machine="x86_64",
            bits=64,
            libc="glibc 2.36",
            mac="",
            host="cloud-7.example.org",
            user="ada",
            home="/home/ada",
            writable=True,
            noexec=False,
            free_bytes=NEED_BYTES,
            link_is_file=False,
            index=False,
            spools={},
            keys_writable=True,
            key_lines=[],
            spool_host="",
            spool_agents=[],
            spool_peers={},
        ),
        **changed,
    )
