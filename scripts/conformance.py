"""Writes docs/conformance.md: which tests prove which section of the specifications.

The sections and their titles are in docs/spec-sections.toml, in the order of the documents; the tests say what they
prove with `@pytest.mark.spec("#anchor", ...)`. `--check` writes nothing and exits 1 when the document on disk is not
what would be written. A test that names a section that the list does not have is an error: it is a misspelling, or the
list wants a line.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SECTIONS = ROOT / "docs" / "spec-sections.toml"
DOCUMENT = ROOT / "docs" / "conformance.md"


@dataclass(frozen=True, slots=True)
class Specification:
    """A specification by its title, with the titles of its sections by anchor."""

    title: str
    sections: Mapping[str, str]


@dataclass(frozen=True, slots=True, order=True)
class Proof:
    """One test function, whatever the number of its parameter sets."""

    path: str
    name: str

    @property
    def sentence(self) -> str:
        return self.name.removeprefix("test_").replace("_", " ")


class Collector:
    """A pytest plugin that keeps, of the collected tests, the sections they prove."""

    def __init__(self) -> None:
        self.proofs: dict[str, set[Proof]] = defaultdict(set)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            path = item.path.relative_to(ROOT).as_posix()
            proof = Proof(path, getattr(item, "originalname", None) or item.name)
            for mark in item.iter_markers("spec"):
                for anchor in mark.args:
                    self.proofs[str(anchor)].add(proof)


def collect() -> dict[str, set[Proof]]:
    """The tests of the suite by the anchor they name. Raises `SystemExit` when they cannot be collected."""
    collector, output = Collector(), io.StringIO()
    with contextlib.redirect_stdout(output):
        code = pytest.main(
            ["--collect-only", "-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT), str(ROOT / "tests")],
            plugins=[collector],
        )
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        sys.exit(f"{output.getvalue()}\nThe tests could not be collected; the above says why.")
    return collector.proofs


def load() -> list[Specification]:
    """The specifications of docs/spec-sections.toml, in their order."""
    tables = tomllib.loads(SECTIONS.read_text(encoding="utf-8"))
    return [Specification(table["title"], table["sections"]) for table in tables.values()]


def unknown(specifications: Iterable[Specification], proofs: Mapping[str, set[Proof]]) -> list[str]:
    """One line for each anchor that tests name and no specification has."""
    known = {anchor for specification in specifications for anchor in specification.sections}
    return [
        f"{anchor}: {', '.join(sorted({proof.path for proof in proofs[anchor]}))}"
        for anchor in sorted(proofs.keys() - known)
    ]


def render(specifications: Iterable[Specification], proofs: Mapping[str, set[Proof]]) -> str:
    """The document as Markdown."""
    lines = [
        "# Conformance: which test proves which section",
        "",
        "Written by `make docs` from the tests; do not edit. `make check` fails when it is out of date.",
    ]
    for specification in specifications:
        proven = {anchor: sorted(proofs[anchor]) for anchor in specification.sections if proofs.get(anchor)}
        count = len({proof for tests in proven.values() for proof in tests})
        lines += [
            "",
            f"## {specification.title}",
            "",
            f"{count} tests prove {len(proven)} of {len(specification.sections)} sections.",
            "",
            "| Section | Anchor | Tests |",
            "|---|---|---|",
        ]
        for anchor, title in specification.sections.items():
            tests = "<br>".join(_link(proof) for proof in proven.get(anchor, ())) or "none"
            lines.append(f"| {title} | `{anchor}` | {tests} |")
    return "\n".join(lines) + "\n"


def _link(proof: Proof) -> str:
    sentence = proof.sentence.replace("|", "\\|")
    return f"{sentence} ([{proof.path.removeprefix('tests/')}](../{proof.path}))"


def main() -> int:
    parser = argparse.ArgumentParser(description="Write docs/conformance.md from the tests.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the document is out of date")
    check = parser.parse_args().check

    specifications, proofs = load(), collect()
    if strangers := unknown(specifications, proofs):
        print("These anchors are not in docs/spec-sections.toml:", *strangers, sep="\n  ", file=sys.stderr)
        return 1
    document = render(specifications, proofs)
    if not check:
        DOCUMENT.write_text(document, encoding="utf-8")
        print(f"wrote {DOCUMENT.relative_to(ROOT)}")
        return 0
    if not DOCUMENT.exists() or DOCUMENT.read_text(encoding="utf-8") != document:
        print("docs/conformance.md is out of date; run `make docs` and commit it.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
