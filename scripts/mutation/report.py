"""docs/mutation.md: the figures by module, and every survivor in a line of its own under the reason why it is left.

The reasons are in reasons.toml. A survivor that none of them fits is a fault of the tests, and `make mutate` fails.
"""

from __future__ import annotations

import io
import re
import tokenize
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mutation.making import PACKAGES, Mutant
from mutation.results import Result

REASONS = Path(__file__).parent / "reasons.toml"
#: What must be explained; `untested` is code that no test of its package comes by.
SURVIVING = frozenset({"survived", "untested"})
NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why mutants that match cannot, or need not, be noticed."""

    module: re.Pattern[str]
    function: re.Pattern[str]
    change: re.Pattern[str]
    only_words: bool
    because: str

    def fits(self, mutant: Mutant) -> bool:
        patterns = ((self.module, mutant.module), (self.function, mutant.function), (self.change, mutant.change))
        return all(pattern.search(text) for pattern, text in patterns) and (not self.only_words or is_wording(mutant))


def reasons() -> list[Reason]:
    """The explanations on file; the first that fits is taken."""
    fields = ("module", "function", "change")
    return [
        Reason(*(re.compile(entry.get(f, "")) for f in fields), entry.get("only_words", False), entry["because"])
        for entry in tomllib.loads(REASONS.read_text())["reason"]
    ]


def is_wording(mutant: Mutant) -> bool:
    """Whether the change is one of a sentence for people, and of nothing else."""
    old = [line[2:] for line in mutant.change.splitlines() if line.startswith("-")]
    new = [line[2:] for line in mutant.change.splitlines() if line.startswith("+")]
    before, sentences = _without_sentences("\n".join(old))
    after, _ = _without_sentences("\n".join(new))
    possible = {before, before.replace("SENTENCE", "None", 1), before.replace("SENTENCE , ", "", 1)}
    return bool(sentences) and after in possible


def _without_sentences(code: str) -> tuple[str, int]:
    """`code` with each string that has a space in it as `SENTENCE`; how many there were."""
    words, count = [], 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(code.strip()).readline):
            sentence = token.type == tokenize.STRING and " " in token.string
            count += sentence
            words.append("SENTENCE" if sentence else token.string)
    except (tokenize.TokenError, IndentationError):
        pass  # one line of several: what could be read is compared
    return re.sub(r"(SENTENCE )+", "SENTENCE ", " ".join(words).strip() + " ").strip(), count


def explain(mutants: list[Mutant], found: dict[str, Result]) -> tuple[dict[str, list[Mutant]], list[Mutant]]:
    """The survivors by what explains them, and those that nothing explains."""
    known, unexplained = reasons(), []
    explained: dict[str, list[Mutant]] = {reason.because: [] for reason in known}
    for mutant in mutants:
        if mutant.key in found and found[mutant.key].status in SURVIVING:
            because = next((reason.because for reason in known if reason.fits(mutant)), None)
            (unexplained if because is None else explained[because]).append(mutant)
    return {because: listed for because, listed in explained.items() if listed}, unexplained


def write(mutants: list[Mutant], found: dict[str, Result]) -> str:
    """The whole page."""
    explained, unexplained = explain(mutants, found)
    lines = [
        "# Mutation testing",
        "",
        "Written by `make mutate`. Each mutant is one small change to a function of `httpsig`, `tokens` or `deferred`;",
        "mutmut makes them, and leaves alone what has a decorator other than `staticmethod` or `classmethod`. Tests",
        "at the path of the package have to notice. What they do not notice and mypy refuses is counted by types:",
        "`make check` is as much a test as `make test` is.",
        "",
        "| module | mutants | killed by a test | by its time | by types | survived | of these unexplained | not run |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    status = {mutant.key: found[mutant.key].status if mutant.key in found else NOT_RUN for mutant in mutants}

    def row(title: str, own: list[Mutant]) -> str:
        counts = Counter(status[mutant.key] for mutant in own)
        survived = sum(counts[one] for one in SURVIVING)
        left = sum(mutant in own for mutant in unexplained)
        figures = (counts["killed"], counts["timed out"], counts["types"], survived, left, counts[NOT_RUN])
        return f"| {title} | {len(own)} | " + " | ".join(map(str, figures)) + " |"

    for module in sorted(
        {mutant.module for mutant in mutants}, key=lambda one: (PACKAGES.index(one.split("/")[0]), one)
    ):
        lines.append(row(f"`{module}`", [mutant for mutant in mutants if mutant.module == module]))
    lines += [row("**all**", mutants), "", "What survives, by the reason why it is left:", ""]
    lines += [f"- {because} ({len(listed)})" for because, listed in explained.items()]
    sections = [*explained.items(), *([("Unexplained", unexplained)] if unexplained else [])]
    for because, listed in sections:
        lines += ["", f"## {because}", ""]
        lines += sorted(_entry(mutant, found[mutant.key].status) for mutant in listed)
    return "\n".join(lines) + "\n"


def _entry(mutant: Mutant, status: str) -> str:
    old = " ".join(line[2:] for line in mutant.change.splitlines() if line.startswith("-"))
    new = " ".join(line[2:] for line in mutant.change.splitlines() if line.startswith("+"))
    note = " (no test comes by)" if status == "untested" else ""
    return f"- `{mutant.module}` `{mutant.function}`{note}: {_code(old)} becomes {_code(new) if new else 'nothing'}"


def _code(text: str) -> str:
    """As code in Markdown, whatever is in it."""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{text}{fence}" if fence == "`" else f"{fence} {text} {fence}"
