"""A big attachment over a real sshd on loopback, its connection cut five times.

`python -m bench.attachment [MEGABYTES] [CUTS]` prints one JSON object and writes bench/attachment.json.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.attaching import MB, journey, noise, pair, sha256_of

WITHIN_S = 1800.0


def main() -> int:
    """Run it; 0 where the file arrived whole."""
    megabytes, cuts = (*map(int, sys.argv[1:]), *(1024, 5)[len(sys.argv) - 1 :])
    with tempfile.TemporaryDirectory(prefix="spool-bench-") as name, pair(Path(name)) as two:
        file = Path(name) / "noise"
        sha256 = noise(file, megabytes * MB)
        found = journey(two, file, cuts=cuts, within_s=WITHIN_S)
        whole = sha256_of(two.far.home / "attachments" / sha256) == sha256
        figures = {
            "bytes": file.stat().st_size,
            "whole": whole,
            **found._asdict(),
            "wire_ratio": found.wire / file.stat().st_size,
            "repeated_bytes_at_most": found.wire - file.stat().st_size,
            "mb_per_s": file.stat().st_size / MB / found.seconds,
        }
    print(json.dumps(figures, indent=1))
    Path(__file__).with_name("attachment.json").write_text(json.dumps(figures, indent=1) + "\n")
    return 0 if whole else 1


if __name__ == "__main__":
    raise SystemExit(main())
