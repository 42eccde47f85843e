"""The examples for FastAPI, Flask and Django under real servers, an agent that has never called them, and a person."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import aauthlib
from aauthlib.cli.serving import free_port
from tests.cli.conftest import World, running_world

from .live import serve_asgi

EXAMPLES = Path(__file__).parents[2] / "examples"


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


@pytest.fixture(params=["fastapi", "flask", "django", "django-wsgi"])
def api(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    port = free_port()
    issuer = f"http://api.localhost:{port}"
    monkeypatch.setenv("ISSUER", issuer)
    monkeypatch.setenv("AAUTH_HOME", str(tmp_path))
    if request.param != "fastapi":
        # Django is configured once in a process, and a WSGI application has no end at which to close its connections.
        with _process(*SERVED[request.param], port):
            yield issuer
        return
    path = EXAMPLES / "fastapi_app.py"
    spec = importlib.util.spec_from_file_location("fastapi_example", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with serve_asgi(module.app, port):
        yield issuer


SERVE_ASGI = "import sys, uvicorn; uvicorn.run(sys.argv[1], port=int(sys.argv[2]), log_level='error')"
# With threads: the person's server asks for the resource's keys while a request is under way.
SERVE_WSGI = """
import importlib, sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server
name, port = sys.argv[1:]
module, _, app = name.partition(":")
app = getattr(importlib.import_module(module), app)
Server = type("Server", (ThreadingMixIn, WSGIServer), {"daemon_threads": True})
make_server("127.0.0.1", int(port), app, server_class=Server).serve_forever()
"""
SERVED = {
    "flask": (SERVE_WSGI, "flask_app:app"),
    "django": (SERVE_ASGI, "django_app:application"),
    "django-wsgi": (SERVE_WSGI, "django_app:wsgi"),
}


@contextmanager
def _process(script: str, app: str, port: int) -> Iterator[None]:
    source = str(Path(aauthlib.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((source, str(EXAMPLES)))}
    command = [sys.executable, "-c", script, app, str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()


def test_the_example_serves_an_agent_it_has_never_met_and_a_person_who_agrees(
    world: World, api: str, directed: list[str]
) -> None:
    before, agent = len(directed), world.parties.agent
    assert world.run(agent.get(f"{api}/holidays")).json() == ["2026-12-25"]
    person = world.run(agent.get(f"{api}/me")).json()["person"]
    assert person[0] == world.parties.person
    answer = world.run(agent.get(f"{api}/calendar")).json()
    assert answer == {"for": person, "events": ["Lunch"], "scope": ["calendar.read"]}
    assert len(directed) > before, "the person was asked"


def test_what_it_protects_is_challenged_over_real_http(world: World, api: str) -> None:
    async def bare() -> Any:
        from aauthlib.demo.parties import loopback_client

        async with loopback_client() as client:
            return await client.get(f"{api}/calendar"), await client.get(f"{api}/openapi.json")

    refused, document = world.run(bare())
    assert refused.status_code == 401
    assert refused.headers["aauth-requirement"].startswith("requirement=person-token")
    if document.status_code == 200:
        operation = json.loads(document.text)["paths"]["/calendar"]["get"]
        assert operation["x-aauth-access-mode"] == "auth-token"
