"""Six processes: an agent provider, a person server, an access server, two resources; the agent is started by tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aauthlib.demo.browser import ScriptedPerson
from aauthlib.demo.parties import loopback_client

from .running import Program, Role, aauth

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
    provider: Role
    person: Role
    access: Role
    direct: Role
    guarded: Role

    @property
    def roles(self) -> tuple[Role, ...]:
        return self.provider, self.person, self.access, self.direct, self.guarded

    # ------------------------------------------------------------------ the agent

    def enrolled(self, name: str) -> Path:
        """The home of a new agent, enrolled with `aauth init`."""
        home = self.folder / name
        ended = aauth(home, "init", "--provider", self.provider.issuer, "--ps", self.person.issuer, "--dev")
        assert ended.returncode == 0, ended.stderr
        return home

    def calls(self, home: Path, *arguments: str) -> dict[str, Any]:
        """Let the agent make one call, with Ada saying yes to whatever she is asked."""
        with Program(home, arguments) as program:
            said = program.says()
            while "direct" in said:
                self.decide(said["direct"])
                said = program.says()
        return said

    # ------------------------------------------------------------------ the person

    def decide(self, url: str, decision: str = "approve") -> None:
        async def act() -> None:
            ada = await self._ada()
            await ada.visit(url)
            await ada.submit(ada.form_with("decision"), {}, button=("decision", decision))
            await ada.close()

        asyncio.run(act())

    def disconnect_everything(self) -> None:
        """Ada ends the access of every agent."""

        async def act() -> None:
            ada = await self._ada()
            while "/agents/disconnect" in ada.text:
                await ada.submit(ada.form_with("iss", "sub"), {})
                await ada.visit(self.person.issuer + "/")
            await ada.close()

        asyncio.run(act())

    async def _ada(self) -> ScriptedPerson:
        """Ada, signed in; she makes her account the first time."""
        ada = ScriptedPerson(loopback_client())
        await ada.visit(self.person.issuer + "/")
        account = {"username": "ada", "password": "correct horse battery staple"}
        if 'name="display_name"' in ada.text:
            await ada.submit(ada.form_with("display_name", "username", "password"), {"display_name": "Ada", **account})
        else:
            await ada.submit(ada.form_with("username", "password"), account)
        await ada.visit(self.person.issuer + "/")
        return ada


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("processes")
    rules = folder / "rules.toml"
    rules.write_text(RULES)

    def database(name: str) -> list[str]:
        return ["--database", f"sqlite:///{folder / name}.db"]

    provider = Role("agents", ["serve", "provider", *database("agents")])
    person = Role("person", ["serve", "person", *database("person")])
    access = Role("access", ["serve", "access", "--policy", str(rules), *database("access")])
    resource = "tests.processes.reports_api"
    direct = Role("direct", [*database("direct"), "--keys", str(folder / "direct.json")], resource)
    guarded = Role(
        "guarded",
        [*database("guarded"), "--keys", str(folder / "guarded.json"), "--access-server", access.issuer],
        resource,
    )
    made = World(folder, provider, person, access, direct, guarded)
    try:
        for role in made.roles:
            role.start()
        yield made
    finally:
        for role in made.roles:
            role.stop()
