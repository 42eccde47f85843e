"""The demo's parties, running in a thread of their own, for tests of the command against real servers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aauthlib.demo.browser import ScriptedPerson
from aauthlib.demo.parties import Parties, loopback_client, open_parties


@dataclass
class World:
    """Running parties and a person with an account."""

    parties: Parties
    loop: asyncio.AbstractEventLoop
    home: Path
    environment: dict[str, str]
    person: ScriptedPerson | None = field(default=None)

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def decide(self, url: str, decision: str) -> None:
        """Open the page and decide, making the account at the first time."""

        async def act() -> None:
            if self.person is None:
                self.person = ScriptedPerson(loopback_client())
            await self.person.visit(url)
            if 'name="display_name"' in self.person.text:
                form = self.person.form_with("display_name", "username", "password")
                values = {"display_name": "Ada", "username": "ada", "password": "correct horse battery staple"}
                await self.person.submit(form, values)
            await self.person.submit(self.person.form_with("decision"), {}, button=("decision", decision))

        self.run(act())

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "aauthlib", *arguments]

    def aauth(self, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env=self.environment, capture_output=True, text=True, timeout=60, **options
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments), env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[World]:
    data, home = tmp_path_factory.mktemp("parties"), tmp_path_factory.mktemp("home")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def ignore(direct: object) -> None:
        return None

    parties = asyncio.run_coroutine_threadsafe(open_parties(data, on_interaction=ignore, wait_s=60.0), loop).result(60)
    import os

    source = str(Path(__file__).parents[2] / "src")
    environment = {**os.environ, "AAUTH_HOME": str(home / "aauth"), "PYTHONPATH": source, "NO_COLOR": "1"}
    made = World(parties, loop, home, environment)
    yield made
    if made.person is not None:
        made.run(made.person.close())
    made.run(parties.close())
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()
