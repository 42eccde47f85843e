"""Measure, print a table beside raw Ed25519, and write bench/results.json (`make bench`; bench/README.md)."""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent))

import core
import memory
import peers
import served
import three_party
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


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=ROUNDS, help="rounds that count, at least 5 for results.json")
    arguments.add_argument("--callers", type=int, default=1_000_000, help="distinct callers of the memory figure")
    arguments.add_argument("--no-write", action="store_true", help="leave bench/results.json as it is")
    chosen = arguments.parse_args()

    console = Console()
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
    show(console, rates, peer_names, missing + left_out)

    held = memory.callers_memory(chosen.callers, world.now)
    console.print(
        f"\n{held['callers']:,} distinct callers: {held['cache_entries']:,} tokens, {held['rate_limit_entries']:,} "
        f"counts and {held['replay_entries']:,} digests kept; the process grew by "
        f"{held['cache_growth_mib']} MiB to {held['resident_mib']} MiB."
    )

    result: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"cpu": processor(), "cores": os.cpu_count(), "system": platform.platform(terse=True)},
        "versions": versions(),
        "rounds": chosen.rounds,
        **figures(rates, peer_names),
        "memory": held,
    }
    exchange = three_party.exchanges()
    result.update(exchange)
    console.print(f"\n{three_party.describe(exchange)}")
    if not chosen.no_write:
        RESULTS.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
        console.print(
            f"\nWritten to {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}"
        )


if __name__ == "__main__":
    main()
