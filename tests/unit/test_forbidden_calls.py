"""What no line of spool does: hand data to a shell, unpickle it, run it, or take a host key on trust."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "spool").rglob("*.py"), *(ROOT / "workers").rglob("*.py")])
CALLS = {
    *("eval", "exec", "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("tempfile.mktemp", "paramiko.AutoAddPolicy", "paramiko.WarningPolicy"),
}
MODULES = {"pickle", "marshal", "shelve", "dill"}
WORDS = ("StrictHostKeyChecking=no", "StrictHostKeyChecking no", "accept-new", "UserKnownHostsFile=/dev/null")


def said(call: ast.expr) -> str:
    """The dotted name of what is called; "" where it has none."""
    match call:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=inner, attr=name):
            return f"{said(inner)}.{name}"
    return ""


def offences(tree: ast.AST) -> Iterator[str]:
    """What is found in a module, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=func, keywords=keywords):
                if said(func) in CALLS:
                    yield f"{node.lineno}: {said(func)}"
                if any(k.arg == "shell" and getattr(k.value, "value", True) for k in keywords):
                    yield f"{node.lineno}: shell="
            case ast.Import(names=names):
                yield from (f"{node.lineno}: {name.name}" for name in names if name.name in MODULES)
            case ast.ImportFrom(module=str(module)) if module in MODULES:
                yield f"{node.lineno}: {module}"
            case ast.Constant(value=str(text)) if any(word in text for word in WORDS):
                yield f"{node.lineno}: {text[:60]!r}"


def test_no_module_does_what_none_should() -> None:
    """Argument lists, JSON and pinned keys are what is there instead."""
    found = {str(path.relative_to(ROOT)): list(offences(ast.parse(path.read_text()))) for path in SOURCES}
    assert len(found) > 200
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "os.system(x)",
        "subprocess.run(x, shell=True)",
        "subprocess.run(x, shell=asked)",
        "import pickle",
        "from pickle import loads",
        "client.set_missing_host_key_policy(paramiko.AutoAddPolicy())",
        "run(['ssh', '-o', 'StrictHostKeyChecking=no'])",
    ],
)
def test_each_of_them_is_found(line: str) -> None:
    """Else the test above says nothing."""
    assert len(list(offences(ast.parse(line)))) == 1
