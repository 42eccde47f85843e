"""Six processes: an agent provider, a person server, an access server, two resources; the agent is started by tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from aauthlib.demo.browser import ScriptedPerson
from aauthlib.demo.parties import loopback_client

from .running import Ended, Nursery, Program, Role, aauth

RULES = """
version = "test"

[[rule]]
name = "reports for everybody"
decision = "allow"
[rule.when]
scope = ["reports.read"]
"""


@dataclass
class World:
    """The processes, and Ada at her browser."""

    folder: Path
    nursery: Nursery
    provider: Role
    person: Role
    access: Role
    direct: Role
    guarded: Role
    _hers: asyncio.Runner = field(default_factory=asyncio.Runner)
    _ada: ScriptedPerson | None = None

    @property
    def roles(self) -> tuple[Role, ...]:
        return self.provider, self.person, self.access, self.direct, self.guarded

    # ------------------------------------------------------------------ the agent

    def enrolled(self, name: str) -> Path:
        """The home of a new agent, enrolled with `aauth init`."""
        home = self.folder / name
        ended = self.command(home, "init", "--provider", self.provider.issuer, "--ps", self.person.issuer, "--dev")
        assert ended.returncode == 0, ended.stderr
        return home

    def command(self, home: Path, *arguments: str) -> Ended:
        """Let the agent's user give the command."""
        return aauth(self.nursery, home, *arguments)

    def calls(self, home: Path, *arguments: str) -> dict[str, Any]:
        """Let the agent make one call, with Ada saying yes to whatever she is asked."""
        with self.program(home, *arguments) as program:
            said = program.says()
            while "direct" in said:
                self.decide(said["direct"])
                said = program.says()
        return said

    def calls_in_a_mission(self, home: Path, url: str, mission: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Let the agent propose a mission and make a call in it: what it says of the approval, and of the call."""
        said: list[dict[str, Any]] = []
        with self.program(home, url, "--mission", mission) as program:
            while len(said) < 2:
                line = program.says()
                if "direct" in line:
                    self.decide(line["direct"])
                else:
                    said.append(line)
        approved, called = said
        return approved, called

    def program(self, home: Path, *arguments: str) -> Program:
        """The agent, at work."""
        return Program(self.nursery, home, arguments)

    # ------------------------------------------------------------------ the person

    def decide(self, url: str, decision: str = "approve") -> None:
        async def act(ada: ScriptedPerson) -> None:
            await ada.visit(url)
            await ada.submit(ada.form_with("decision"), {}, button=("decision", decision))

        self._as_ada(act)

    def disconnect_everything(self) -> None:
        """Ada ends the access of every agent."""

        async def act(ada: ScriptedPerson) -> None:
            await ada.visit(self.person.issuer + "/")
            while "/agents/disconnect" in ada.text:
                await ada.submit(ada.form_with("iss", "sub"), {})
                await ada.visit(self.person.issuer + "/")

        self._as_ada(act)

    def _as_ada(self, act: Callable[[ScriptedPerson], Awaitable[None]]) -> None:
        """Let Ada do something; she makes her account the first time, and stays signed in."""
        self._hers.run(self._act(act))

    async def _act(self, act: Callable[[ScriptedPerson], Awaitable[None]]) -> None:
        if self._ada is None:
            self._ada = ScriptedPerson(loopback_client())
            await self._ada.visit(self.person.issuer + "/")
            form = self._ada.form_with("display_name", "username", "password")
            values = {"display_name": "Ada", "username": "ada", "password": "correct horse battery staple"}
            await self._ada.submit(form, values)
        await act(self._ada)

    # ------------------------------------------------------------------ their lives

    def start(self) -> None:
        for role in self.roles:
            role.launch()
        for role in self.roles:
            role.await_ready()

    def stop(self) -> None:
        if self._ada is not None:
            self._hers.run(self._ada.close())
        self._hers.close()
        for role in self.roles:
            role.interrupt()
        for role in self.roles:
            role.stop()


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    opened = Nursery()
    yield opened
    opened.close()


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("processes")
    rules = folder / "rules.toml"
    rules.write_text(RULES)

    def database(name: str) -> list[str]:
        return ["--database", f"sqlite:///{folder / name}.db"]

    def resource(name: str, *more: str) -> Role:
        arguments = [*database(name), "--keys", str(folder / f"{name}.json"), *more]
        return Role(nursery, name, arguments, "tests.processes.reports_api")

    access = Role(nursery, "access", ["serve", "access", "--policy", str(rules), *database("access")])
    made = World(
        folder,
        nursery,
        Role(nursery, "agents", ["serve", "provider", *database("agents")]),
        Role(nursery, "person", ["serve", "person", *database("person")]),
        access,
        resource("direct"),
        resource("guarded", "--access-server", access.issuer),
    )
    try:
        made.start()
        yield made
    finally:
        made.stop()
