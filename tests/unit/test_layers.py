"""The rules of the house, kept as tests: floors, clocks, and who may be imported at start."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# docs/internals.md draws this. A module may import from its own floor or a lower one.
FLOORS = {
    1: (
        "message states config escalation_rules web_rules retry errors log log_foreign strictjson jsontext"
        " secret_rules clock version foreign terms excerpt plain lengths issue_blocks issue_words"
        " issue_people"
    ),
    2: "store.base store.rows transports.base",
    3: (
        "outbox inbox folder attachments freight backup"
        " router carrier claims gate sweep doorbell presence settings home config_edit authorized files_gate"
        " quotas kit far living resting waiters sessions telling loops doubts store transports escalations"
        " escalating notices web_gate issues_gate"
    ),
    4: (
        "api desk looking attending sending reading waiting mending history loop_views"
        " delivery running waking waker starting service clients views"
        " whereabouts history_views fence digest demo doctor __init__ web_secret credentials"
    ),
    5: "cli hook mcp_server web",
}
FLOOR = {name: floor for floor, names in FLOORS.items() for name in names.split()}


def modules() -> list[tuple[str, Path]]:
    found = []
    for path in sorted((ROOT / "spool").rglob("*.py")):
        parts = path.relative_to(ROOT / "spool").with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)
        if parts[0] not in ("examples", "__main__"):
            found.append((name, path))
    return found


def floor_of(name: str) -> int:
    """The floor of a module: its own, else that of the folder it lies in."""
    return FLOOR[name] if name in FLOOR else FLOOR[name.split(".")[0]]


def imports(path: Path) -> set[str]:
    """The modules of spool that a file imports at its top level or inside functions."""
    known = {name for name, _ in modules()}
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.split(".")[0] in ("spool", "workers")
        ):
            base = node.module.removeprefix("spool").lstrip(".")
            for alias in node.names:
                whole = f"{base}.{alias.name}".lstrip(".")
                found.add(whole if whole in known else base or "__init__")
            if node.module.startswith("workers"):
                found.add("workers")
        elif isinstance(node, ast.Import):
            found.update(a.name.removeprefix("spool.") for a in node.names if a.name.startswith("spool."))
    return found


@pytest.mark.parametrize(("name", "path"), modules(), ids=lambda value: str(value))
def test_imports_point_down(name: str, path: Path) -> None:
    """A room that reaches up to the desk or a door makes a ring sooner or later."""
    for target in imports(path):
        assert target != "workers", f"{name} imports workers"
        assert floor_of(target) <= floor_of(name), f"{name} imports {target}, which lives above it"


def test_there_is_no_ring() -> None:
    """No two modules import each other, not even the long way round."""
    graph = {name: imports(path) - {name} for name, path in modules()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name in done:
            return
        for target in graph.get(name, ()):
            visit(target, (*trail, name))
        done.add(name)

    for name in graph:
        visit(name, ())


CLOCKS = {"time.time", "time.monotonic", "datetime.now", "os.environ", "os.getenv"}
# The log stamps its own lines; the store measures how long it waits for a lock; a home is looked
# for where the environment says; a pipe has deadlines of its own.
MAY_READ_CLOCKS = {"log", "store.sqlite", "home"}
MAY_HAVE_DEADLINES = ("transports.exec", "transports.ssh", "transports.lastwords", "transports.probe")


@pytest.mark.parametrize(
    ("name", "path"), [m for m in modules() if floor_of(m[0]) <= 3], ids=lambda value: str(value)
)
def test_no_clock_below_the_desk(name: str, path: Path) -> None:
    """Time comes in as a parameter, so that a test can move it."""
    if name in MAY_READ_CLOCKS or name.startswith(MAY_HAVE_DEADLINES):
        return
    used = {
        ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)
    }
    assert not used & CLOCKS


def test_importing_spool_stays_light() -> None:
    """An agent's hook starts fast: neither the link nor the worker comes along."""
    heavy = "huey paramiko structlog rich tomlkit cryptography httpx2 starlette uvicorn standardwebhooks"
    code = f"import spool, sys; print([m for m in {heavy.split()!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_consumer_without_web_peers_carries_no_web() -> None:
    """Its HTTP client and the server take longer to import than all the rest, and memory besides."""
    heavy = "httpx2 httpcore2 starlette uvicorn standardwebhooks anyio"
    code = "import spool.running, spool.cli.peers, workers.tasks, sys;"
    code += f" print([m for m in {heavy.split()!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "[]"


def test_public_names_are_what_is_documented() -> None:
    """Scripts rely on these; one that goes is a breaking change."""
    import spool

    assert sorted(spool.__all__) == [
        "Ack",
        "Delivery",
        "Message",
        "Posted",
        "Spool",
        "SpoolError",
        "State",
        "__version__",
    ]
    for name in spool.__all__:
        assert hasattr(spool, name)
