"""docs/mutation.md says of every mutant what became of it."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "mutation.md"
_ROW = re.compile(r"^\| `[a-z0-9_]+/[a-z0-9_]+\.py` \|([0-9 |]+)\|$", re.MULTILINE)


def test_every_mutant_was_run_and_no_survivor_is_left_without_a_reason() -> None:
    rows = [[int(cell) for cell in row.split("|")] for row in _ROW.findall(PAGE.read_text())]
    mutants, killed, by_time, by_types, survived, unexplained, not_run = map(sum, zip(*rows, strict=True))
    assert mutants > 3000
    assert killed + by_time + by_types + survived == mutants
    assert (unexplained, not_run) == (0, 0)
