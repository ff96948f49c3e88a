"""A reviewer on the laptop, a builder on the cloud host, and what a person sees of it afterwards.

.venv/bin/python examples/reviewer_builder/run.py
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from stage import spool, two_homes  # noqa: E402  it lies beside this folder

PYTHON = shlex.quote(sys.executable)
TASKS = {
    "greet": f"{PYTHON} -c 'print(\"Hello from the builder\")'",
    "broken": f"{PYTHON} -c 'import sys; sys.exit(\"no such module: tests\")'",
    "sleep": f"{PYTHON} -c 'import time; time.sleep(60)'",
}


def main() -> int:
    """0 where each request ended as it should: one accepted, two rejected here, one there."""
    with two_homes(near="reviewer", far="builder") as (laptop, cloud), builder(cloud):
        review = [sys.executable, str(HERE / "reviewer.py"), "builder"]
        wanted = ["greet:20", "broken:20", "sleep:1", "deploy:20"]
        done = subprocess.run([*review, *wanted], env={**os.environ, "SPOOL_HOME": str(laptop)})
        person(laptop)
    # 1 is what the reviewer says where not all was accepted.
    return 0 if done.returncode == 1 else 1


@contextlib.contextmanager
def builder(home: Path) -> Iterator[None]:
    """The builder, with what it may run."""
    words = [f"{name}={command}" for name, command in TASKS.items()]
    env = {**os.environ, "SPOOL_HOME": str(home)}
    child = subprocess.Popen([sys.executable, str(HERE / "builder.py"), *words], env=env)
    try:
        yield
    finally:
        child.terminate()
        child.wait()


def person(home: Path) -> None:
    """Of each request the history that both hosts know, as a person would look it up."""
    found = spool(home, "search", "please", "run", "--from", "reviewer", "--json").splitlines()
    for id in sorted(json.loads(line)["id"] for line in found):
        print("\n$ spool trace", id)
        print(spool(home, "trace", id), end="")


if __name__ == "__main__":
    sys.exit(main())
