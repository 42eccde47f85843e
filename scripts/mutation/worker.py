"""A pytest plugin: collects the tests once, then is forked for each mutant and runs what could notice it.

`AAUTHLIB_MUTANTS` names a file of what is to be done. First of all the tests run on the unchanged code: all have to
pass, and each says which functions it comes by and how long it takes. Then for each mutant those that come by its
function run until one fails, the ones first that noticed another mutant of that function.
"""

from __future__ import annotations

import json
import math
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mutation.results import Result, digest, keep

#: How long a test may take: this, and so many times what it takes on the unchanged code.
ALLOWED_S, ALLOWED_TIMES = 15.0, 10.0
MEMORY_BYTES = 4 * 2**30


def pytest_runtestloop(session: pytest.Session) -> bool:
    """In place of the one run of all tests."""
    work = json.loads(Path(os.environ["AAUTHLIB_MUTANTS"]).read_text())
    import aauthlib

    if not Path(aauthlib.__file__).is_relative_to(Path.cwd()):
        raise pytest.UsageError("the tests would not run on the copy")
    taken, passing = _look(session)
    order = {item.nodeid: place for place, item in enumerate(session.items)}
    quick_first = sorted(session.items, key=lambda item: (_bucket(taken[item.nodeid]), order[item.nodeid]))
    noticed: dict[str, list[str]] = {}
    began, counts = time.monotonic(), dict.fromkeys(("killed", "timed out", "types", "survived", "untested"), 0)
    for place, (name, key, switch, refused) in enumerate(work["mutants"], 1):
        tests = [item for item in quick_first if item.nodeid in passing.get(switch, ())]
        before = noticed.setdefault(switch, [])
        tests.sort(key=lambda item: before.index(item.nodeid) if item.nodeid in before else len(before))
        status, by = _judge(session, name, tests, taken)
        if refused and not by:
            status = "types"
        if by:
            before[:] = [by, *(other for other in before if other != by)]
        keep(Result(key, status, by, digest(work["package"], by)))
        counts[status] += 1
        if place % 50 == 0 or place == len(work["mutants"]):
            said = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
            line = f"{work['package']}: {place} of {len(work['mutants'])} in {time.monotonic() - began:.0f} s: {said}"
            print(line, file=sys.stderr, flush=True)
    return True


def _bucket(seconds: float) -> int:
    """Tests of about the same length stay in their order, which is that of the fixtures they share."""
    return max(0, math.ceil(math.log2(max(seconds, 0.001) / 0.05)))


def _look(session: pytest.Session) -> tuple[dict[str, float], dict[str, set[str]]]:
    """How long each test takes, and which come by each function."""
    reading, writing = os.pipe()

    def look() -> int:
        from mutmut.state import state

        passing: dict[str, list[str]] = {}
        taken = {}
        for item, after in zip(session.items, [*session.items[1:], None], strict=True):
            began = time.monotonic()
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            taken[item.nodeid] = time.monotonic() - began
            for function in state()._stats:
                passing.setdefault(function, []).append(item.nodeid)
            state()._stats.clear()
            if session.testsfailed:
                print(f"{item.nodeid} fails on the unchanged code", file=sys.stderr, flush=True)
                return 1
        with os.fdopen(writing, "w") as out:
            json.dump([taken, passing], out)
        return 0

    child = _fork("stats", look)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    if not text:
        raise pytest.UsageError("the tests do not pass on the unchanged code")
    taken, passing = json.loads(text)
    return taken, {function: set(tests) for function, tests in passing.items()}


def _judge(session: pytest.Session, name: str, tests: list[pytest.Item], taken: dict[str, float]) -> tuple[str, str]:
    """The status of the mutant, and the test that noticed."""
    if not tests:
        return "untested", ""
    reading, writing = os.pipe()

    def run() -> int:
        for item, after in zip(tests, [*tests[1:], None], strict=True):
            os.write(writing, f"{item.nodeid}\n".encode())
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
            if session.testsfailed:
                return 1
        return 0

    child = _fork(name, run)
    os.close(writing)
    os.set_blocking(reading, False)
    running, until = "", math.inf
    ended, status, pause_s = 0, 0, 0.001
    while not ended and time.monotonic() < until:
        latest = _latest(reading)
        if latest and latest != running:
            running, until = latest, time.monotonic() + ALLOWED_S + ALLOWED_TIMES * taken[latest]
        ended, status = os.waitpid(child, os.WNOHANG)
        if not ended:
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.2, 0.02)
    if not ended:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    by = _latest(reading) or running
    os.close(reading)
    if not ended:
        return "timed out", by
    return ("survived", "") if status == 0 else ("killed", by)


def _latest(reading: int) -> str:
    """The last line that can be read without waiting; a line is written whole."""
    text = b""
    try:
        while part := os.read(reading, 65536):
            text += part
    except BlockingIOError:
        pass
    return text.decode().rstrip("\n").rpartition("\n")[2]


def _fork(mutant: str, run: Callable[[], int]) -> int:
    """The id of a new process that is `mutant` and ends with what `run` returns."""
    child = os.fork()
    if child:
        return child
    code = 3
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        if mutant != "stats":
            nowhere = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nowhere, stream)
        os.environ["MUTANT_UNDER_TEST"] = mutant
        code = run()
    finally:
        os._exit(code)  # nothing of pytest's own ending, which is the parent's
