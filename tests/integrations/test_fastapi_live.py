"""examples/fastapi_app.py under Uvicorn, an agent that has never called it, and a person who is asked."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aauthlib.cli.serving import free_port
from tests.cli.conftest import World, running_world

from .live import serve_asgi

EXAMPLE = Path(__file__).parents[2] / "examples" / "fastapi_app.py"


@pytest.fixture(scope="module")
def directed() -> list[str]:
    return []


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, directed: list[str]) -> Iterator[World]:
    holder: list[World] = []

    def decide(direct: Any) -> None:
        directed.append(direct.server)
        # In a thread: the hook runs on the loop that the person's browser needs.
        threading.Thread(target=lambda: holder[0].decide(direct.person_url, "approve"), daemon=True).start()

    data, home = tmp_path_factory.mktemp("parties"), tmp_path_factory.mktemp("home")
    with running_world(data, home, on_interaction=decide) as made:
        holder.append(made)
        yield made


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    port = free_port()
    issuer = f"http://api.localhost:{port}"
    monkeypatch.setenv("ISSUER", issuer)
    monkeypatch.setenv("AAUTH_HOME", str(tmp_path))
    spec = importlib.util.spec_from_file_location("fastapi_example", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with serve_asgi(module.app, port):
        yield issuer


def test_the_example_serves_an_agent_it_has_never_met_and_a_person_who_agrees(
    world: World, api: str, directed: list[str]
) -> None:
    agent = world.parties.agent
    assert world.run(agent.get(f"{api}/holidays")).json() == ["2026-12-25"]
    person = world.run(agent.get(f"{api}/me")).json()["person"]
    assert person[0] == world.parties.person
    answer = world.run(agent.get(f"{api}/calendar")).json()
    assert answer == {"for": person, "events": ["Lunch"], "scope": ["calendar.read"]}
    assert len(directed) >= 1, "the person was asked"


def test_what_it_protects_is_challenged_over_real_http(world: World, api: str) -> None:
    async def bare() -> Any:
        from aauthlib.demo.parties import loopback_client

        async with loopback_client() as client:
            return await client.get(f"{api}/calendar"), await client.get(f"{api}/openapi.json")

    refused, document = world.run(bare())
    assert refused.status_code == 401
    assert refused.headers["aauth-requirement"].startswith("requirement=person-token")
    operation = json.loads(document.text)["paths"]["/calendar"]["get"]
    assert operation["x-aauth-access-mode"] == "auth-token"
