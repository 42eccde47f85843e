"""Mutation testing of what judges signatures, tokens and pending requests (`make mutate`).

    python scripts/mutate.py                          what has no result yet; writes docs/mutation.md
    python scripts/mutate.py --only tokens/profile    that module or package; the others' results are kept
    python scripts/mutate.py --list                   shows what survives unexplained and writes nothing

Results are kept in build/mutation-results.jsonl, so a run that was cut short goes on where it ended, and a change costs
what it touches. Ends with 1 when a survivor has no reason in scripts/mutation/reasons.toml, or a mutant was not run.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

from mutation import report, results
from mutation.making import COPY, PACKAGES, ROOT, Mutant, make, refused_by_types

PAGE = ROOT / "docs" / "mutation.md"


def run(mutants: list[Mutant], refused: set[str], jobs: int, until: float) -> None:
    """Let the tests judge them, a package after the other, until all are or time is up."""
    for package in PACKAGES:
        own = [mutant for mutant in mutants if mutant.package == package]
        # A worker looks at the tests on its own first, which costs as much as dozens of mutants do.
        share = max(1, min(jobs, len(own) // 50))
        workers = [_worker(package, own[number::share], refused, number) for number in range(share if own else 0)]
        try:
            for worker in workers:
                if code := worker.wait(max(0.0, until - time.monotonic())):
                    sys.exit(f"A worker for {package} ended with {code}; see {COPY.relative_to(ROOT)}/worker-*.log")
        except subprocess.TimeoutExpired:
            return
        finally:
            for worker in workers:
                if worker.poll() is None:
                    os.killpg(worker.pid, signal.SIGKILL)


def _worker(package: str, mutants: list[Mutant], refused: set[str], number: int) -> subprocess.Popen[bytes]:
    work = COPY / f"work-{number}.json"
    rows = [(mutant.name, mutant.key, mutant.switch, mutant.key in refused) for mutant in mutants]
    work.write_text(json.dumps({"package": package, "mutants": rows}))
    # A directory of its own: the tests of each mutant begin with an empty one.
    options = ["-q", "-s", "-p", "no:cacheprovider", "-p", "mutation.worker", f"--basetemp={COPY}/temporary-{number}"]
    environment = {
        **os.environ,
        "AAUTHLIB_MUTANTS": str(work),
        # Property tests look at fewer examples: each mutant meets them.
        "AAUTHLIB_HYPOTHESIS": "mutation",
        "PYTHONPATH": os.pathsep.join((str(COPY / "src"), str(ROOT / "scripts"))),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with (COPY / f"worker-{number}.log").open("wb") as log:
        command = [sys.executable, "-m", "pytest", *options, f"tests/{package}"]
        return subprocess.Popen(command, cwd=COPY, env=environment, stdout=log, start_new_session=True)


def main() -> int:
    """Mutate, judge, write; 1 when something is unexplained or was not run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="MODULE", help="tokens, tokens/profile; may be repeated")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--budget", type=float, default=60.0, help="minutes")
    parser.add_argument("--list", action="store_true", help="show what survives unexplained; write nothing")
    parser.add_argument("--afresh", action="store_true", help="forget all results first")
    chosen = parser.parse_args()
    until = time.monotonic() + chosen.budget * 60
    if chosen.afresh:
        results.forget()
    mutants = make()
    packages = {mutant.key: mutant.package for mutant in mutants}
    wanted = [
        mutant
        for mutant in mutants
        if not chosen.only or any(f"{mutant.module[:-3]}/".startswith(f"{one.rstrip('/')}/") for one in chosen.only)
    ]
    if not wanted:
        parser.error(f"no module of {', '.join(PACKAGES)} is named so")
    known = results.known(packages)
    # Variants of one function can be the same text; one result is for all of them.
    missing = list({mutant.key: mutant for mutant in wanted if mutant.key not in known}.values())
    print(f"{len(mutants)} mutants, {len(wanted)} of them asked for, {len(missing)} without a result", flush=True)
    if missing:
        refused = refused_by_types(missing)
        run(missing, refused, chosen.jobs, until)
        known = results.known(packages)
    counts = Counter(known[mutant.key].status if mutant.key in known else report.NOT_RUN for mutant in wanted)
    print(", ".join(f"{count} {status}" for status, count in counts.most_common()))
    _, unexplained = report.explain(wanted, known)
    for mutant in unexplained:
        print(f"unexplained: {mutant.module} {mutant.function}\n  " + mutant.change.replace("\n", "\n  "))
    if not chosen.list:
        PAGE.write_text(report.write(mutants, known))
        print(f"Written to {PAGE.relative_to(ROOT)}")
    return 1 if unexplained or counts[report.NOT_RUN] else 0


if __name__ == "__main__":
    sys.exit(main())
