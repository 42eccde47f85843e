"""Run the fuzzer over every target: `python -m fuzz.run` (`make fuzz`; fuzz/README.md).

libFuzzer ends its process, so each target runs in one of its own, as many at a time as there are processors. What it
finds is put under fuzz/found, and the corpus is reduced to the inputs that reach something no other one reaches.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

HERE = Path(__file__).parent
CORPUS, FOUND, DICTIONARY = HERE / "corpus", HERE / "found", HERE / "dictionary.txt"
CHILD = HERE / "child"

#: Share of the runs each target gets: what strangers send first, and what holds most code, gets most.
SHARES = {
    "headers": 15,
    "signature": 15,
    "verification": 20,
    "messages": 12,
    "certificates": 3,
    "jwt": 8,
    "claims": 12,
    "documents": 8,
    "discovery": 6,
    "bodies": 6,
    "captured": 6,
    "middleware": 10,
    "identifiers": 4,
}
DEFAULT_RUNS = 1_050_000
LONGEST_INPUT = 16_384
#: Larger inputs stay out of what is kept in the repository.
LONGEST_KEPT = 8_192


def fuzz_one(arguments: list[str]) -> None:
    """Be the fuzzer of the target that the environment names; does not return."""
    import atheris

    with atheris.instrument_imports(include=["aauthlib", "http_sf", "fuzz.altered"]):
        from fuzz import targets

    target = os.environ["AAUTHLIB_FUZZ_TARGET"]

    def run(data: bytes) -> None:
        targets.check(target, data)

    atheris.Setup([str(CHILD), *arguments], run)
    atheris.Fuzz()


def _child(target: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "AAUTHLIB_FUZZ_PYTHON": sys.executable,
        "AAUTHLIB_FUZZ_TARGET": target,
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": f"{HERE.parent}:{HERE.parent / 'src'}",
    }
    command = [str(CHILD), *arguments]
    return subprocess.run(
        command, cwd=HERE.parent, env=environment, capture_output=True, encoding="utf-8", errors="replace", check=False
    )


def fuzz(target: str, runs: int, seed: int) -> tuple[str, bool, str]:
    """Fuzz one target and reduce its corpus. The target, whether nothing was found, and a line to show."""
    began = monotonic()
    corpus = CORPUS / target
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as new:
        done = _child(
            target,
            new,
            str(corpus),
            f"-runs={runs}",
            f"-seed={seed}",
            f"-max_len={LONGEST_INPUT}",
            f"-dict={DICTIONARY}",
            f"-artifact_prefix={FOUND}/{target}-",
            "-len_control=20",
            "-timeout=20",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
        )
        if done.returncode:
            (FOUND / f"{target}.log").write_text(done.stdout + done.stderr)
            return target, False, f"{target}: FOUND something, see fuzz/found/{target}.log"
        kept = _reduce(target, corpus, Path(new))
    inputs = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
    reached = re.findall(r"cov: (\d+) ft: (\d+)", done.stderr)
    covered, features = reached[-1] if reached else ("?", "?")
    count = int(inputs[1]) if inputs else 0
    took = monotonic() - began
    return (
        target,
        True,
        f"{target:13} {count:9,} inputs {took:6.0f} s   edges {covered:>5} features {features:>5}   {kept}",
    )


def _reduce(target: str, corpus: Path, new: Path) -> str:
    """Replace `corpus` by the fewest inputs that reach what it and `new` reach."""
    with tempfile.TemporaryDirectory() as fewest:
        merged = _child(target, "-merge=1", fewest, str(corpus), str(new), f"-max_len={LONGEST_INPUT}")
        if merged.returncode or not any(Path(fewest).iterdir()):
            return "the corpus is left as it was"
        inputs = [path for path in Path(fewest).iterdir() if path.stat().st_size <= LONGEST_KEPT]
        shutil.rmtree(corpus)
        corpus.mkdir()
        for path in inputs:
            shutil.copy(path, corpus / path.name)
        return f"corpus {len(inputs)} inputs, {sum(p.stat().st_size for p in inputs) / 1024:.0f} KiB"


def main() -> int:
    """Fuzz what was asked for; 1 when something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=DEFAULT_RUNS, help="inputs, over all targets")
    parser.add_argument("--only", choices=SHARES, action="append", help="this target alone; may be given several times")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()

    if find_spec("atheris") is None:
        sys.exit("The fuzzer is not installed: pip install atheris. Its wheels are for Linux and Python 3.11 to 3.13.")
    from fuzz import seeds

    seeds.write()
    FOUND.mkdir(exist_ok=True)
    wanted = chosen.only or list(SHARES)
    whole = sum(SHARES[target] for target in wanted)
    clean = True
    with ThreadPoolExecutor(chosen.jobs) as pool:
        jobs = [pool.submit(fuzz, name, -(-chosen.runs * SHARES[name] // whole), chosen.seed) for name in wanted]
        for job in jobs:
            _, fine, line = job.result()
            clean = clean and fine
            print(line, flush=True)
    return 0 if clean else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        fuzz_one(sys.argv[2:])
    sys.exit(main())
