"""What runs on the far host: its modules are sent there, in the order of MODULES, to its own Python.

They use the standard library and each other. Standard input brings a line of JSON, the request; behind it
the bytes of the files it names; and then nothing, until this side has answered. When it ends before
that, the connection broke or somebody pressed Ctrl-C, and all that was begun is undone. Each line of
the answer begins with the request's token.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

MODULES: Final = ("place", "commands", "look", "fill", "install", "main")


# Reads the modules and runs each; the last one answers. `b` is standard input.
START: Final = b"""
import json, types
for name, text in json.loads(b.read(int(b.readline()))):
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)
module.main()
"""


def program() -> bytes:
    """What is sent first: how long START is, START, how long the modules are, and the modules."""
    folder = Path(__file__).parent
    modules = [(f"{__name__}.{name}", (folder / f"{name}.py").read_text("utf-8")) for name in MODULES]
    return b"".join(b"%d\n%b" % (len(part), part) for part in (START, json.dumps(modules).encode()))
