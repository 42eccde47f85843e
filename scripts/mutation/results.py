"""The results that are kept between runs, in build/mutation-results.jsonl: a line for each, appended as it is found.

A result holds while the function and its variant are the same (`Mutant.key`), and so are the tests it rests on: for one
that was noticed the file of the test that did and what that file takes from its package, otherwise all of the package.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from mutation.making import COPY, ROOT

RESULTS = ROOT / "build" / "mutation-results.jsonl"


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a mutant."""

    key: str
    status: str
    """`killed`; `timed out`; `types` if only mypy refuses it; `survived`; `untested` if no test comes by."""
    by: str
    """The test that noticed."""
    rests_on: str


def digest(package: str, by: str) -> str:
    """What a result of `package` rests on, where `by` is the test that noticed, if one did."""
    return _files(package, by.partition("::")[0])


@cache
def _files(package: str, file: str) -> str:
    everything = sorted((COPY / "tests" / package).rglob("*.py"))
    chosen = [path for path in everything if not file or not path.name.startswith("test_")]
    chosen += [COPY / "tests" / "conftest.py", *([COPY / file] if file else [])]
    whole = hashlib.sha256()
    for path in chosen:
        whole.update(path.read_bytes() if path.exists() else b"")
    return whole.hexdigest()[:16]


def keep(result: Result) -> None:
    """Append it. One short line is written whole, so several processes may."""
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as file:
        file.write(json.dumps(asdict(result)) + "\n")


def known(packages: dict[str, str]) -> dict[str, Result]:
    """What still holds, by key; `packages` says which package a key is of."""
    if not RESULTS.exists():
        return {}
    found = {}
    for line in RESULTS.read_text().splitlines():
        try:
            result = Result(**json.loads(line))
        except (ValueError, TypeError):
            continue  # the run ended within this line
        if result.key in packages and result.rests_on == digest(packages[result.key], result.by):
            found[result.key] = result
    return found


def forget(path: Path = RESULTS) -> None:
    """Start anew."""
    path.unlink(missing_ok=True)
