"""Measure, print a table beside raw Ed25519, and write bench/results.json (`make bench`; bench/README.md)."""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))

import core
import exchanges
import four_party
import memory
import peers
import policies
import revocations
import served
import three_party
import waiters
from rounds import ROUNDS, Rates, measure
from world import World

RESULTS = Path(__file__).parent / "results.json"
LIBRARIES = (
    "aauthlib",
    "cryptography",
    "pynacl",
    "msgspec",
    "http-sf",
    "aauth-signing",
    "introspection-aauth",
    "http-message-signatures",
)
#: Figure, what it is, the raw figure it stands beside, and the least share of it that is aimed at.
ROWS: tuple[tuple[str, str, str, float | None], ...] = (
    ("raw_sign", "raw Ed25519 sign", "raw_sign", None),
    ("sign", "sign a request", "raw_sign", 0.50),
    ("raw_verify", "raw Ed25519 verify", "raw_verify", None),
    ("verify_warm", "verify, token seen before", "raw_verify", 0.80),
    ("verify_cold", "verify, token never seen", "raw_verify", 0.40),
    ("verify_hwk", "verify, pseudonym (hwk)", "raw_verify", None),
    ("asgi", "ASGI middleware, empty app", "raw_verify", 0.60),
    ("verify_warm_fast_backend", "PyNaCl: verify, seen before", "raw_verify", 1.30),
    ("verify_cold_fast_backend", "PyNaCl: verify, never seen", "raw_verify", None),
)


def processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux: what Python knows has to do
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def figures(rates: Rates, peer_names: list[str]) -> dict[str, Any]:
    """The figures by name."""
    result: dict[str, Any] = {}
    for name, _, raw, _ in ROWS:
        if name in rates.by_name:
            result[f"{name}_per_s"] = round(rates.median(name))
            if name != raw:
                result[f"{name}_ratio"] = round(rates.ratio(name, raw), 3)
    result["peer_verify_per_s"] = {name: round(rates.median(name)) for name in peer_names}
    result["peer_verify_ratio"] = {name: round(rates.ratio(name, "raw_verify"), 3) for name in peer_names}
    if peer_names:
        fastest = max(peer_names, key=rates.median)
        result["fastest_peer"] = fastest
        for name in ("verify_warm", "verify_cold", "verify_warm_fast_backend"):
            if name in rates.by_name:
                result[f"{name}_to_fastest_peer"] = round(rates.ratio(name, fastest), 2)
    return result


def show(console: Console, rates: Rates, peer_names: list[str], missing: list[str]) -> None:
    table = Table(title="One process, one thread; medians of interleaved rounds", title_justify="left")
    for title in ("", "per second", "µs", "of raw", "aim", "spread"):
        table.add_column(title, justify="right" if title else "left", no_wrap=True)

    def row(name: str, label: str, raw: str, aim: float | None) -> None:
        rate = rates.median(name)
        share = "" if name == raw else f"{rates.ratio(name, raw):.2f}"
        table.add_row(
            label, f"{rate:,.0f}", f"{1e6 / rate:.1f}", share, f"{aim:.2f}" if aim else "", f"{rates.spread(name):.0%}"
        )

    for name, label, raw, aim in ROWS:
        if name in rates.by_name:
            row(name, label, raw, aim)
    if peer_names:
        table.add_section()
    for name in peer_names:
        row(name, name, "raw_verify", None)
    console.print(table)
    for name in peer_names:
        console.print(f"  {name}: {peers.CHECKS[name]}.", style="dim")
    for name in missing:
        console.print(f"  {name} is not installed and was left out.", style="yellow")


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the command line says."""

    rounds: int
    callers: int
    agents: int
    postgres: str | None


def signatures(console: Console, chosen: Chosen) -> dict[str, Any]:
    world = World()
    subjects = [*core.subjects(world), *served.subjects(world)]
    left_out: list[str] = []
    try:
        subjects += core.fast_subjects(world)
    except ImportError:
        left_out.append("pynacl")
    peer_subjects, missing = peers.subjects(world)
    peer_names = [subject.name for subject in peer_subjects]
    gc.collect()
    gc.freeze()  # what stays until the end need not be looked through again and again
    rates = measure([*subjects, *peer_subjects], rounds=chosen.rounds)
    gc.unfreeze()
    show(console, rates, peer_names, missing + left_out)
    return {"rounds": chosen.rounds, **figures(rates, peer_names)}


def callers(console: Console, chosen: Chosen) -> dict[str, Any]:
    held = memory.callers_memory(chosen.callers, int(time.time()))
    console.print(
        f"{held['callers']:,} distinct callers: {held['cache_entries']:,} tokens, {held['rate_limit_entries']:,} "
        f"counts and {held['replay_entries']:,} digests kept; the process grew by "
        f"{held['cache_growth_mib']} MiB to {held['resident_mib']} MiB."
    )
    return {"memory": held}


def three(console: Console, chosen: Chosen) -> dict[str, Any]:
    found = three_party.exchanges(rounds=chosen.rounds)
    console.print(three_party.describe(found))
    return dict(found)


def four(console: Console, chosen: Chosen) -> dict[str, Any]:
    found = four_party.figures(chosen.postgres, rounds=chosen.rounds)
    console.print(four_party.describe(found))
    return found


def waiting(console: Console, chosen: Chosen) -> dict[str, Any]:
    found = waiters.figures(chosen.postgres, agents=chosen.agents)
    console.print(waiters.describe(found))
    return found


def exchanging(console: Console, chosen: Chosen) -> dict[str, Any]:
    found = exchanges.figures(chosen.postgres, rounds=chosen.rounds)
    console.print(exchanges.describe(found))
    return found


def decisions(console: Console, chosen: Chosen) -> dict[str, Any]:
    found = policies.figures(rounds=chosen.rounds)
    console.print(policies.describe(found))
    return found


Part = Callable[[Console, Chosen], dict[str, Any]]


def cascade(role: str) -> Part:
    def run(console: Console, chosen: Chosen) -> dict[str, Any]:
        found = revocations.figures(role)
        console.print(revocations.describe(role, found))
        return found

    return run


PARTS: dict[str, Part] = {
    "signatures": signatures,
    "memory": callers,
    "three_party": three,
    "four_party": four,
    "policies": decisions,
    "waiters": waiting,
    "exchanges": exchanging,
    "access_cascade": cascade("access_server"),
    "person_cascade": cascade("person_server"),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", nargs="+", choices=list(PARTS), metavar="PART", help=f"of {', '.join(PARTS)}")
    arguments.add_argument("--rounds", type=int, default=ROUNDS, help="rounds that count, at least 5 for results.json")
    arguments.add_argument("--callers", type=int, default=1_000_000, help="distinct callers of the memory figure")
    arguments.add_argument(
        "--agents", type=int, default=waiters.AGENTS, help="agents that wait for their person at once"
    )
    arguments.add_argument(
        "--postgres",
        default=os.environ.get("AAUTHLIB_TEST_POSTGRES_URL"),
        help="URL of a PostgreSQL server that may be given databases (by default AAUTHLIB_TEST_POSTGRES_URL)",
    )
    arguments.add_argument("--no-write", action="store_true", help="leave bench/results.json as it is")
    said = arguments.parse_args()
    chosen = Chosen(said.rounds, said.callers, said.agents, said.postgres)

    console = Console()
    machine = {"cpu": processor(), "cores": os.cpu_count(), "system": platform.platform(terse=True)}
    # A part that is measured alone takes the place of what it was before, and says when.
    result: dict[str, Any] = json.loads(RESULTS.read_text()) if said.only else {}
    result.update({"date": now(), "machine": machine, "versions": versions()})
    for name in said.only or PARTS:
        found = PARTS[name](console, chosen)
        console.print()
        result.update(found)
        result.setdefault("measured", {})[name] = now()
        if not said.no_write:
            # Part by part: what was measured for ten minutes is not lost with what comes after.
            RESULTS.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    if not said.no_write:
        console.print(
            f"Written to {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}"
        )


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


if __name__ == "__main__":
    main()
