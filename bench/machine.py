"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import apsw
import paramiko

from spool.version import VERSION
from tests.sshd import require_sshd


def about() -> dict[str, str]:
    """What may matter to who compares two runs; the load is that of the others before it began."""
    return {
        "spool": VERSION,
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": sys.version.split()[0],
        "sqlite": apsw.sqlite_lib_version(),
        "paramiko": paramiko.__version__,
        "sshd": _sshd(),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def _sshd() -> str:
    # It knows -V since 9.2 only; before, it says its version with the complaint.
    said = subprocess.run([require_sshd(), "-V"], capture_output=True, text=True, check=False)
    lines = (said.stdout + said.stderr).splitlines()
    return next((line.split(",")[0] for line in lines if line.startswith("OpenSSH")), "unknown")
