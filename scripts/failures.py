"""Writes docs/failures.md: how each flow ends when a server fails, as tests/failures hold it.

`--check` writes nothing and exits 1 when the document on disk is not what would be written. `--take FILE` first puts
the ends of a run into tests/failures/promises.toml: `FAILURES_NOTES=FILE pytest tests/failures` writes them down, and
whoever takes them reads the difference.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.failures.flows import FLOWS, PROMISES, REVOCATIONS, promises
from tests.failures.table import DOCUMENT, render


def take(notes: Path) -> None:
    """Put the ends that a run wrote down into the promises, in the order of the flows."""
    promised = promises()
    seen: dict[tuple[str, str, str], list[str]] = {}
    for line in notes.read_text(encoding="utf-8").splitlines():
        flow, strike, fault, end = line.split("\t")
        ends = seen.setdefault((flow, strike, fault), [])
        if end not in ends:
            ends.append(end)
    for (flow, strike, fault), ends in seen.items():
        promised.setdefault(flow, {}).setdefault(strike, {})[fault] = "|".join(sorted(ends))
    lines = ["# How each cell of the matrix ends. See scripts/failures.py."]
    for each in (*FLOWS, *REVOCATIONS):
        for hit in each.strikes:
            row = promised.get(each.name, {}).get(str(hit), {})
            lines += ["", f"[{each.name}.{hit}]"]
            lines += [f'{fault} = "{row[fault]}"' for fault in each.faults if fault in row]
    PROMISES.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether the document is up to date")
    parser.add_argument("--take", type=Path, metavar="FILE", help="take over the ends that a run wrote down")
    options = parser.parse_args()
    if options.take is not None:
        take(options.take)
    document = render()
    if options.check:
        if DOCUMENT.read_text(encoding="utf-8") != document:
            sys.exit("docs/failures.md is out of date; write it anew with `make docs`.")
    else:
        DOCUMENT.write_text(document, encoding="utf-8")


if __name__ == "__main__":
    main()
