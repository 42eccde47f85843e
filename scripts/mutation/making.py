"""Makes the mutants: a copy of the tree in build/mutation whose functions stand there once for each change.

mutmut writes the code. Each function becomes a switch that runs the original, or the variant that the environment
variable `MUTANT_UNDER_TEST` names, so a process that has imported everything once can become any mutant.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mutmut.mutation.file_mutation import mutate_file_contents

ROOT = Path(__file__).resolve().parent.parent.parent
COPY = ROOT / "build" / "mutation"
#: Packages under mutation; the tests of each are at the same path.
PACKAGES = ("deferred", "tokens", "httpsig")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one function."""

    name: str
    """What the switch knows it by: the module, the function, a number."""
    module: str
    """`tokens/profile.py`"""
    function: str
    change: str
    """The lines that differ, `- ` and `+ ` first."""
    key: str
    """The digest of the module's name, the function and its variant: a result holds for as long as it is the same."""
    lines: tuple[int, int]
    """Where the variant stands in the copy."""
    original_lines: tuple[int, int]

    @property
    def package(self) -> str:
        return self.module.partition("/")[0]

    @property
    def switch(self) -> str:
        """The name of the function that chooses between the variants, as test runs record it."""
        return self.name.partition("__mutmut_")[0]


def make() -> list[Mutant]:
    """A fresh copy of what the tests need, with every mutant in it."""
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    ignore = shutil.ignore_patterns("__pycache__", "node_modules", ".hypothesis")
    for name in ("src", "tests", "docs", "fuzz"):
        shutil.copytree(ROOT / name, COPY / name, ignore=ignore)
    shutil.copy(ROOT / "README.md", COPY)
    shutil.copy(ROOT / "pyproject.toml", COPY)
    paths = (path for package in PACKAGES for path in sorted((ROOT / "src" / "aauthlib" / package).rglob("*.py")))
    return [mutant for path in paths for mutant in _mutate(path)]


def _mutate(path: Path) -> Iterable[Mutant]:
    inside = path.relative_to(ROOT / "src")
    mutated = mutate_file_contents(str(path.relative_to(ROOT)), path.read_text())
    if not mutated.mutant_names:
        return
    (COPY / "src" / inside).write_text(mutated.code)
    lines = mutated.code.splitlines()
    spans = {name: (span.start, span.end) for name, span in mutated.line_span_by_function_name.items()}
    module = "/".join(inside.parts[1:])
    dotted = ".".join(inside.with_suffix("").parts).removesuffix(".__init__")
    for name in mutated.mutant_names:
        mangled = name.partition("__mutmut_")[0]
        original = f"{mangled}__mutmut_orig"
        function = re.sub(r"^x_|^xǁ", "", mangled).replace("ǁ", ".")
        before, after = (
            textwrap.dedent("\n".join(lines[spans[one][0] - 1 : spans[one][1]]))
            .strip()
            .replace(one, function.rpartition(".")[2])
            for one in (original, name)
        )
        differing = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
        change = "\n".join(
            f"{line[0]} {line[1:].strip()}" for line in differing if re.match(r"[-+](?![-+]{2})", line) and line[1:]
        )
        key = hashlib.sha256("\0".join((module, before, after)).encode()).hexdigest()[:32]
        yield Mutant(f"{dotted}.{name}", module, function, change, key, spans[name], spans[original])


def refused_by_types(mutants: Iterable[Mutant]) -> set[str]:
    """The keys of those in which mypy finds an error that it does not find in the original."""
    # The settings of the project; the copy is its own root.
    command = [sys.executable, "-m", "mypy", "--output=json", "--no-error-summary", "--cache-dir", "../mypy"]
    done = subprocess.run(command, cwd=COPY, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"mypy ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    errors: dict[str, list[tuple[int, str]]] = {}
    for line in done.stdout.splitlines():
        error = json.loads(line)
        if error["severity"] == "error":
            module = str(Path(error["file"]).relative_to("src/aauthlib"))
            errors.setdefault(module, []).append((error["line"], re.sub(r"\d+", "", error["message"])))

    def within(module: str, lines: tuple[int, int]) -> set[str]:
        return {message for line, message in errors.get(module, ()) if lines[0] <= line <= lines[1]}

    return {
        mutant.key
        for mutant in mutants
        # The original stands there in the same form: what that form itself gives rise to is no finding.
        if within(mutant.module, mutant.lines) - within(mutant.module, mutant.original_lines)
    }
