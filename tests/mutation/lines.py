"""The mutants that mutmut makes of Python lines, for `Runs`; mutmut itself is installed by hand."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tests.mutation.running import Mutant

ROOT: Final = Path(__file__).parents[2]
# What tests need of a checkout, besides what mutmut takes along by itself.
_BESIDE: Final = ("workers", "plugin", "plugin-monitor", "docs", "examples", "README.md", "CHANGELOG.md")
# A word of the log, or a hint, is for people: another one is no defect that a test should find.
_WORDS: Final = (r"\blog\.(debug|info|warning|error|batch)\(", r"_warnings\.append")
# `statements` changes SQL, and to more purpose than to write it in capitals.
_SQL: Final = re.compile(
    r"\b(SELECT|UPDATE|INSERT|DELETE|WHERE|ORDER BY|RETURNING|ON CONFLICT|VALUES|AND|FROM|INDEXED BY)\b"
    r"|^\W*(deadline_at|expires_at|received_at),"
)


def mutate(folder: Path, modules: Sequence[str]) -> Path:
    """Copy this checkout and put every mutant of these modules into the copy; where to run `lines` then.

    Args:
        folder: a new one.
        modules: files of spool, from the root of the checkout; `*` stands for any.
    """
    left_out = shutil.ignore_patterns(".git", ".venv", "__pycache__", "mutants")
    shutil.copytree(ROOT, folder, ignore=left_out, symlinks=True)
    with (folder / "pyproject.toml").open("a") as config:
        config.write(_settings(modules))
    os.chdir(folder)
    _generate()
    return folder / "mutants"


def _settings(modules: Sequence[str]) -> str:
    values: dict[str, Any] = {
        "source_paths": ["spool"],
        "only_mutate": list(modules),
        "do_not_mutate_patterns": list(_WORDS),
        "also_copy": [name for name in _BESIDE if (ROOT / name).exists()],
        "use_git_change_detection": False,
    }
    # What JSON says of lists, texts and truth, TOML says alike.
    return "\n[tool.mutmut]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def _generate() -> None:
    import mutmut.__main__ as mutmut
    from mutmut.mutation import file_mutation, mutators
    from mutmut.mutation.trampoline import set_mutant_under_test

    file_mutation.mutation_operators = [
        (kind, _one_of_a_text(change) if change is mutators.operator_string else change)
        for kind, change in mutators.mutation_operators
    ]
    set_mutant_under_test("mutant_generation")
    Path("mutants").mkdir()
    mutmut.copy_src_dir()
    mutmut.copy_also_copy_files()
    mutmut.create_mutants(1)


def _one_of_a_text(change: Any) -> Any:
    """One change of a text is enough, and none of SQL."""

    def changed(node: Any) -> Iterator[Any]:
        if not _SQL.search(getattr(node, "value", "")):
            yield from list(change(node))[:1]

    return changed


class Lines:
    """What `Runs` asks for: which functions a test runs, and their mutants. Run it where `mutate` says.

    Args:
        only: modules as `spool.outbox`.
    """

    def __init__(self, only: Sequence[str]) -> None:
        from mutmut.mutation.trampoline import set_mutant_under_test

        self._only = only
        self._put = set_mutant_under_test
        self._put("")

    def record(self) -> None:
        """From now on, keep what is run."""
        self._put("stats")

    def ran(self) -> set[str]:
        """What was run since it was asked last."""
        from mutmut.state import state

        ran = set(state()._stats)
        state()._stats.clear()
        return ran

    def mutants(self, known: Sequence[str]) -> list[Mutant]:
        """All mutants of the modules, also of what no test runs."""
        return [self._mutant(name, module) for module in self._only for name in _names(module)]

    def _mutant(self, name: str, module: str) -> Mutant:
        from mutmut.utils.format_utils import mangled_name_from_mutant_name

        return Mutant(name, module, [mangled_name_from_mutant_name(name)], lambda: self._put(name))


def _names(module: str) -> Iterable[str]:
    listed = Path(f"{module.replace('.', '/')}.py.meta")
    if not listed.exists():
        sys.exit(f"no mutants of {module} here: make them by `python -m tests.mutation mutate`, and go there")
    names: dict[str, object] = json.loads(listed.read_text())["exit_code_by_key"]
    return names
