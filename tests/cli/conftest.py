"""The demo's parties, running in a thread of their own, for tests of the command against real servers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from aauthlib.demo.browser import ScriptedPerson
from aauthlib.demo.parties import Parties, loopback_client, open_parties
from aauthlib.effects import Direct

T = TypeVar("T")

#: The command in a process that Ctrl-C reaches, also where the tests themselves run in the background of a shell, which
#: has its children ignore it.
AAUTH = [
    sys.executable,
    "-X",
    "faulthandler",
    "-c",
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from aauthlib.cli import main; main()",
]


@dataclass
class World:
    """Running parties and a person with an account."""

    parties: Parties
    loop: asyncio.AbstractEventLoop
    home: Path
    environment: dict[str, str]
    person: ScriptedPerson | None = field(default=None)

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.begin(coroutine).result(60)

    def decide(self, url: str, decision: str) -> None:
        """Open the page and decide, making the account at the first time."""
        self._on_page(url, "decision", {}, ("decision", decision))

    def ask(self, url: str, question: str, options: str = "") -> None:
        """Open the page and ask the agent something; `options` stand a line each."""
        self._on_page(url, "question", {"question": question, "options": options}, None)

    def visit_until(self, text: str) -> None:
        """Look at the same page again until it shows `text`."""

        async def look() -> None:
            assert self.person is not None
            while text not in self.person.text:
                await self.person.visit(self.person.url)

        self.run(look())

    def _on_page(self, url: str, field: str, values: dict[str, str], button: tuple[str, str] | None) -> None:
        async def act() -> None:
            if self.person is None:
                self.person = ScriptedPerson(loopback_client())
            await self.person.visit(url)
            if 'name="display_name"' in self.person.text:
                form = self.person.form_with("display_name", "username", "password")
                account = {"display_name": "Ada", "username": "ada", "password": "correct horse battery staple"}
                await self.person.submit(form, account)
            await self.person.submit(self.person.form_with(field), values, button=button)

        self.run(act())

    def command(self, *arguments: str) -> list[str]:
        return [*AAUTH, *arguments]

    def aauth(self, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env=self.environment, capture_output=True, text=True, timeout=60, **options
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@contextmanager
def running_world(data: Path, home: Path, *, on_interaction: Callable[[Direct], object]) -> Iterator[World]:
    """The demo's parties in `data`, until the block ends; `on_interaction` is told when their agent needs somebody."""
    data.mkdir(parents=True, exist_ok=True)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    opening = open_parties(data, on_interaction=on_interaction, wait_s=60.0)
    parties = asyncio.run_coroutine_threadsafe(opening, loop).result(60)
    source = str(Path(__file__).parents[2] / "src")
    environment = {**os.environ, "AAUTH_HOME": str(home / "aauth"), "PYTHONPATH": source, "NO_COLOR": "1"}
    made = World(parties, loop, home, environment)
    try:
        yield made
    finally:
        if made.person is not None:
            made.run(made.person.close())
        made.run(parties.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    data, home = tmp_path_factory.mktemp("parties"), tmp_path_factory.mktemp("home")
    with running_world(data, home, on_interaction=lambda direct: None) as made:
        yield made
