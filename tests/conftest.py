"""What every test may ask of the machine, and what happens where it is missing.

A test that needs a tool takes the fixture named for it (`needs_chromium`, `needs_node`, `needs_postgres`,
`needs_valkey`), itself or through another fixture; the marker `browser` asks for Chromium too. Where the tool is
missing the test is left out and the summary says how many were and why. In CI (CI=true) it fails instead, so that
nothing goes untested in silence.

`make test` spreads the files over the processors (pytest-xdist). A file stays in one process, each process has a
PostgreSQL database of its own, and the files that take longest are started first.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import settings
from sqlalchemy.engine import make_url

from tests.valkey_server import ValkeyServer, find_valkey, running_valkey

# How long one example takes says more about the machine than about the code; the timeout of the test still holds.
settings.register_profile("aauthlib", deadline=None)
# Mutation testing runs the tests once for each mutant (scripts/mutate.py).
settings.register_profile("mutation", deadline=None, max_examples=20, derandomize=True)
settings.load_profile(os.environ.get("AAUTHLIB_HYPOTHESIS", "aauthlib"))

NODE_PEERS = Path(__file__).parent / "interop" / "node"


@dataclass(frozen=True, slots=True)
class Tool:
    """Something outside Python that tests run: how it is found, and what to say when it is not."""

    find: Callable[[], str | None]
    missing: str


def _chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("AAUTHLIB_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def _node() -> str | None:
    return shutil.which("node") if (NODE_PEERS / "node_modules").is_dir() else None


def _postgres() -> str | None:
    return os.environ.get("AAUTHLIB_TEST_POSTGRES_URL") or None


TOOLS = {
    "needs_chromium": Tool(
        _chromium, "Chromium was not found (on Debian: apt-get install chromium, or set AAUTHLIB_CHROMIUM)"
    ),
    "needs_node": Tool(
        _node, "Node.js or its packages were not found (install nodejs and npm, then run scripts/interop-node)"
    ),
    "needs_postgres": Tool(
        _postgres,
        "no PostgreSQL (install it and run `make test`, or set AAUTHLIB_TEST_POSTGRES_URL=postgresql+asyncpg://...)",
    ),
    "needs_valkey": Tool(find_valkey, "no Valkey or Redis server (on Debian: apt-get install redis-server)"),
}

# What takes longest, first: a long file that is started last keeps one processor busy while the others have nothing.
SLOW = ("kills/", "processes/", "failures/", "browser/", "chaining/", "attacks/", "interop/", "cli/", "person/", "web/")

_LEFT_OUT = pytest.StashKey[Counter[str]]()
_MISSING = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def needs_chromium() -> str:
    """The path of the Chromium executable."""
    return _found("needs_chromium")


@pytest.fixture(scope="session")
def needs_node() -> str:
    """The path of the Node.js executable; its packages are in `NODE_PEERS / "node_modules"`."""
    return _found("needs_node")


@pytest.fixture(scope="session")
def needs_postgres() -> str:
    """The SQLAlchemy URL (asyncpg) of an empty PostgreSQL database that tests may fill, and no other process does."""
    url = _found("needs_postgres")
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        return url
    own = f"aauthlib_{worker}"
    # The first to ask may be an asynchronous test, whose loop runs already.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _create_database(url, own)).result()
    return make_url(url).set(database=own).render_as_string(hide_password=False)


async def _create_database(url: str, name: str) -> None:
    administrator = await asyncpg.connect(
        make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    )
    try:
        await administrator.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await administrator.execute(f"CREATE DATABASE {name}")
    finally:
        await administrator.close()


@pytest.fixture(scope="session")
def needs_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """A private Valkey or Redis server, one for all tests: each uses keys of its own."""
    with running_valkey(_found("needs_valkey"), tmp_path_factory.mktemp("valkey")) as server:
        yield server


def _found(name: str) -> str:
    found = TOOLS[name].find()
    if found is None:
        pytest.fail(TOOLS[name].missing, pytrace=False)
    return found


def _needs(item: pytest.Item) -> set[str]:
    needs = TOOLS.keys() & set(getattr(item, "fixturenames", ()))
    # A test that runs on several engines asks for the second one by its parameter.
    if "postgresql" in getattr(getattr(item, "callspec", None), "params", {}).values():
        needs = needs | {"needs_postgres"}
    return needs | {"needs_chromium"} if item.get_closest_marker("browser") else needs


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what cannot run here; a mere listing lists everything, whatever the machine."""
    if config.option.collectonly:
        return
    missing = {name for name, tool in TOOLS.items() if tool.find() is None}
    in_ci = os.environ.get("CI", "").lower() in {"1", "true"}
    left_out: Counter[str] = Counter()
    kept, deselected = [], []
    for item in items:
        lacking = sorted(_needs(item) & missing)
        if lacking and in_ci:
            item.stash[_MISSING] = "; ".join(TOOLS[name].missing for name in lacking)
        if lacking and not in_ci:
            left_out.update(lacking)
            deselected.append(item)
        else:
            kept.append(item)
    config.stash[_LEFT_OUT] = left_out
    if deselected:
        config.hook.pytest_deselected(items=deselected)
    items[:] = sorted(kept, key=_turn)


def _turn(item: pytest.Item) -> int:
    place = item.path.relative_to(Path(__file__).parent).as_posix()
    return next((turn for turn, folder in enumerate(SLOW) if place.startswith(folder)), len(SLOW))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of several tells the first what it left out; each leaves out the same."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["left_out"] = dict(session.config.stash.get(_LEFT_OUT, Counter()))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[_LEFT_OUT] = Counter(getattr(node, "workeroutput", {}).get("left_out", {}))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if _MISSING in item.stash:
        pytest.fail(f"In CI no test is left out: {item.stash[_MISSING]}", pytrace=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for name, count in sorted(config.stash.get(_LEFT_OUT, Counter()).items()):
        terminalreporter.write_line(f"NOT RUN: {count} tests, since {TOOLS[name].missing}", yellow=True)
