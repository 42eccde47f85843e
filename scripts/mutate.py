"""Mutation testing of what judges signatures, tokens and pending requests, with mutmut (`make mutate`).

    python scripts/mutate.py                    all of it; writes docs/mutation.md
    python scripts/mutate.py tokens --list      one package; shows what survives and writes nothing

Works on a copy in build/mutation, so that nothing is mutated where somebody is working. A mutant that no test notices
is either explained (scripts/mutation_reasons.toml) or a fault of the tests, and then this ends with 1.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tokenize
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPY = ROOT / "build" / "mutation"
REPORT = ROOT / "docs" / "mutation.md"
REASONS = ROOT / "scripts" / "mutation_reasons.toml"
#: Packages under mutation, each with the tests that have to notice.
PACKAGES = {"deferred": "tests/deferred", "tokens": "tests/tokens", "httpsig": "tests/httpsig"}
#: By mutmut's exit codes.
STATUS = {1: "killed", 3: "killed", 0: "survived", 5: "untested", 33: "untested", 36: "timed out", -24: "timed out"}
#: What needs no explanation: a mutant that only loops or waits is noticed by its time, as a test run would be.
SETTLED = frozenset({"killed", "timed out", "not run"})


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change, and what the tests made of it."""

    package: str
    module: str
    function: str
    change: str
    """The lines that differ, `-` and `+` first."""
    status: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why mutants that match cannot, or need not, be noticed."""

    module: re.Pattern[str]
    function: re.Pattern[str]
    change: re.Pattern[str]
    because: str

    def fits(self, mutant: Mutant) -> bool:
        patterns = ((self.module, mutant.module), (self.function, mutant.function), (self.change, mutant.change))
        return all(pattern.search(text) for pattern, text in patterns)


def prepare(packages: list[str]) -> None:
    """A fresh copy of what the tests need, configured for `packages`."""
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    ignore = shutil.ignore_patterns("__pycache__", "node_modules", ".hypothesis")
    for name in ("src", "tests", "docs", "fuzz"):
        shutil.copytree(ROOT / name, COPY / name, ignore=ignore)
    shutil.copy(ROOT / "README.md", COPY)
    settings = {
        "source_paths": ["src/"],
        "only_mutate": [f"src/aauthlib/{package}/*" for package in packages],
        "also_copy": ["docs", "fuzz"],
        "pytest_add_cli_args": ["-p", "no:cacheprovider", "-x", "-q"],
        "pytest_add_cli_args_test_selection": [PACKAGES[package] for package in packages],
    }
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    (COPY / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text() + f"\n[tool.mutmut]\n{lines}")


def run(budget_s: float, jobs: int) -> bool:
    """Let mutmut work for at most `budget_s` seconds; whether it came to an end."""
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(jobs)]
    # Property tests look at fewer examples: each mutant meets them, and one that only the thousandth would notice is
    # noticed by a test of its own or listed.
    environment = {**os.environ, "AAUTHLIB_HYPOTHESIS": "mutation"}
    with (COPY / "run.log").open("wb") as log:
        started = subprocess.Popen(command, cwd=COPY, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            started.wait(budget_s)
        except subprocess.TimeoutExpired:
            # What was found until now is on disk; mutmut itself would wait for its children.
            os.killpg(started.pid, signal.SIGKILL)
            started.wait()
            return False
    if started.returncode:
        tail = (COPY / "run.log").read_text(errors="replace")[-3000:]
        sys.exit(f"mutmut ended with {started.returncode}:\n{tail}")
    return True


def mutants() -> Iterator[Mutant]:
    """What was made of each mutant."""
    os.chdir(COPY)  # mutmut finds its configuration and its work here
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    for path in sorted(Path("mutants/src/aauthlib").rglob("*.meta")):
        source = Path(*path.parts[1:-1], path.stem)
        for name, code in json.loads(path.read_text())["exit_code_by_key"].items():
            status = "not run" if code is None else STATUS.get(code, f"ended with {code}")
            lines = [] if status == "killed" else get_diff_for_mutant(name, path=source).splitlines()
            changed = [f"{line[0]} {line[1:].strip()}" for line in lines if re.match(r"[-+](?![-+]{2})", line)]
            function = re.sub(r"__mutmut_\d+$", "", name.rpartition(".")[2])
            function = re.sub(r"^x_|^xǁ", "", function).replace("ǁ", ".")
            module = "/".join(source.parts[2:])
            yield Mutant(source.parts[2], module, function, "\n".join(changed), status)


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


def reasons() -> list[Reason]:
    """The explanations on file."""
    entries = tomllib.loads(REASONS.read_text())["reason"]
    fields = ("module", "function", "change")
    return [Reason(*(re.compile(entry.get(f, "")) for f in fields), because=entry["because"]) for entry in entries]


def explain(survivors: list[Mutant]) -> tuple[dict[str, list[Mutant]], list[Mutant]]:
    """The survivors by what explains them, and those that nothing explains."""
    known, unexplained = reasons(), []
    explained: dict[str, list[Mutant]] = {}
    for mutant in survivors:
        fitting = next((reason.because for reason in known if reason.fits(mutant)), None)
        if fitting is None and is_wording(mutant):
            fitting = (
                "Wording: the text of an error for people. Its code, status and form are tested; its words are free."
            )
        if fitting is None:
            unexplained.append(mutant)
        else:
            explained.setdefault(fitting, []).append(mutant)
    return explained, unexplained


def report(found: list[Mutant], took_s: float, complete: bool) -> str:
    """docs/mutation.md."""
    explained, unexplained = explain([mutant for mutant in found if mutant.status not in SETTLED])
    lines = [
        "# Mutation testing",
        "",
        "Written by `make mutate` (mutmut). Each mutant is one small change of the code, and the package's own tests",
        "have to notice it. What survives is listed with the reason.",
        "",
        "| package | mutants | not run | killed | by time | survived | wording | explained otherwise | unexplained |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for package in PACKAGES:
        own = [mutant for mutant in found if mutant.package == package]
        counts = Counter(mutant.status for mutant in own)
        survived = [mutant for mutant in own if mutant.status not in SETTLED]
        wording = sum(
            mutant.package == package for m in explained for mutant in explained[m] if m.startswith("Wording")
        )
        open_ = sum(mutant.package == package for mutant in unexplained)
        lines.append(
            f"| {package} | {len(own)} | {counts['not run']} | {counts['killed']} | {counts['timed out']} "
            f"| {len(survived)} | {wording} | {len(survived) - wording - open_} | {open_} |"
        )
    lines += [
        "",
        f"The run took {took_s / 60:.0f} minutes{'' if complete else ' and was cut short by its budget'}.",
        "",
    ]
    for because, listed in sorted(explained.items(), key=lambda entry: (entry[0].startswith("Wording"), entry[0])):
        lines += [f"## {because}", ""]
        if because.startswith("Wording"):
            by_function = Counter((mutant.module, mutant.function) for mutant in listed)
            lines += [
                f"- `{module}` `{function}`: {count}" for (module, function), count in sorted(by_function.items())
            ]
        else:
            lines += [_entry(mutant) for mutant in listed]
        lines.append("")
    if unexplained:
        lines += ["## Unexplained", "", *map(_entry, unexplained), ""]
    return "\n".join(lines)


def _entry(mutant: Mutant) -> str:
    change = mutant.change.replace("\n", "\n      ")
    note = "" if mutant.status == "survived" else f" ({mutant.status})"
    return f"- `{mutant.module}` `{mutant.function}`{note}\n\n      {change}\n"


def main() -> int:
    """Mutate, judge, write; 1 when something is unexplained."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="*", choices=[*PACKAGES, []], help="all of them unless named")
    parser.add_argument("--budget", type=float, default=60.0, help="minutes")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="show what survives and is unexplained; write nothing")
    parser.add_argument("--again", action="store_true", help="judge the last run again")
    parser.add_argument("--resume", action="store_true", help="go on where the last run was cut short")
    chosen = parser.parse_args()
    began = time.monotonic()
    complete = True
    if not chosen.again:
        if not chosen.resume:
            prepare(chosen.packages or list(PACKAGES))
        complete = run(chosen.budget * 60, chosen.jobs)
    found = list(mutants())
    _, unexplained = explain([mutant for mutant in found if mutant.status not in SETTLED])
    counts = Counter(mutant.status for mutant in found)
    print(f"{len(found)} mutants: " + ", ".join(f"{count} {status}" for status, count in counts.most_common()))
    if chosen.list:
        print(
            "\n".join(f"{m.module} {m.function} ({m.status})\n  " + m.change.replace("\n", "\n  ") for m in unexplained)
        )
    elif not chosen.packages:
        REPORT.write_text(report(found, time.monotonic() - began, complete))
        print(f"Written to {REPORT.relative_to(ROOT)}; {len(unexplained)} unexplained.")
    return 1 if unexplained or not complete else 0


if __name__ == "__main__":
    sys.exit(main())
