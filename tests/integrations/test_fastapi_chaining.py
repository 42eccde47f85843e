"""examples/trips_api.py calls examples/fastapi_app.py for an agent it has never met, with a person who is asked.

Annotations are evaluated here: FastAPI cannot resolve those of nested functions that are strings.
"""

import importlib.util
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import FastAPI, Request

from aauthlib.cli.serving import free_port
from aauthlib.errors import ConfigurationError, Denied
from aauthlib.integrations.fastapi import AAuth, Grant
from aauthlib.keys import SigningKey
from tests.cli.conftest import World, running_world

from .live import serve_asgi

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.spec("#call-chaining", "#interaction-chaining")


class Ada:
    """The person: she follows what she is shown, and says yes unless a test says otherwise."""

    def __init__(self) -> None:
        self.world: World | None = None
        self.servers: list[str] = []
        self.decision = "approve"

    def __call__(self, direct: Any) -> None:
        self.servers.append(direct.server)
        # In a thread: the hook runs on the loop that her browser needs.
        threading.Thread(target=self.decide, args=(direct.person_url,), daemon=True).start()

    def decide(self, url: str) -> None:
        world = self.world
        assert world is not None
        world.decide(url, self.decision)
        # Then she goes where the pages lead, and answers what else is asked.
        for _ in range(60):
            person = world.person
            assert person is not None
            if person.refresh:
                world.run(person.follow_refreshes(1))
            elif 'name="decision"' in person.text:
                world.decide(person.url, self.decision)
            else:
                return


@pytest.fixture(scope="module")
def ada() -> Ada:
    return Ada()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, ada: Ada) -> Iterator[World]:
    data, home = tmp_path_factory.mktemp("parties"), tmp_path_factory.mktemp("home")
    with running_world(data, home, on_interaction=ada) as made:
        ada.world = made
        yield made


def example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app


@pytest.fixture(scope="module")
def trips(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Both examples, served; the origin of the one that calls the other."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("AAUTH_HOME", str(tmp_path_factory.mktemp("keys")))
        urls = {}
        for name, label in (("fastapi_app", "api"), ("trips_api", "trips")):
            port = free_port()
            urls[label] = f"http://{label}.localhost:{port}"
            patch.setenv("ISSUER", urls[label])
            patch.setenv("CALENDAR", urls["api"])
            stack.enter_context(serve_asgi(example(name), port))
        yield urls["trips"]


def test_the_example_calls_on_for_an_agent_and_its_person_is_asked_on_the_way(
    world: World, trips: str, ada: Ada
) -> None:
    answer = world.run(world.parties.agent.get(f"{trips}/free"))
    assert answer.status_code == 200, answer.text
    assert answer.json()["free"] is False
    assert answer.json()["for"][0] == world.parties.person
    assert ada.servers[-1] == trips, "the agent was sent to the resource it called, and no further"


def test_an_endpoint_in_a_thread_calls_on_too(world: World, trips: str) -> None:
    answer = world.run(world.parties.agent.get(f"{trips}/free-too"))
    assert (answer.status_code, answer.json()["free"]) == (200, False)


def test_it_is_an_agent_provider_of_its_own(world: World, trips: str) -> None:
    async def document() -> Any:
        from aauthlib.demo.parties import loopback_client

        async with loopback_client() as client:
            return (await client.get(f"{trips}/.well-known/aauth-agent.json")).json()

    assert world.run(document())["issuer"] == trips


@pytest.mark.spec("#polling-error-codes")
@pytest.mark.parametrize("handled", [False, True], ids=["let through", "handled by the application"])
def test_a_no_below_is_the_callers_unless_the_application_has_an_answer(
    world: World, ada: Ada, handled: bool, tmp_path: Path
) -> None:
    port = free_port()
    issuer = f"http://hotels.localhost:{port}"
    app = FastAPI()
    aauth = AAuth(
        app, issuer=issuer, intermediary=True, dev=True, signing_key=SigningKey.generate(), access_mode="person-token"
    )

    async def rooms(request: Request, grant: Annotated[Grant, aauth.person()]) -> dict[str, str]:
        try:
            await aauth.downstream(request).get(f"{world.parties.calendar}/events")
        except Denied:
            if not handled:
                raise
            return {"rooms": "any night, then"}
        return {"rooms": "on free nights"}

    async def hello(grant: Annotated[Grant, aauth.person()]) -> str:
        return "hello"

    app.get("/rooms")(rooms)
    app.get("/hello")(hello)
    with serve_asgi(app, port):
        ada.decision = "approve"
        assert world.run(world.parties.agent.get(f"{issuer}/hello")).json() == "hello"
        ada.decision = "deny"
        try:
            answer = world.run(world.parties.agent.get(f"{issuer}/rooms"))
        finally:
            ada.decision = "approve"
    if handled:
        assert answer.json() == {"rooms": "any night, then"}
    else:
        assert (answer.status_code, answer.json()["error"]) == (403, "denied")


def test_only_an_intermediary_calls_on() -> None:
    app = FastAPI()
    aauth = AAuth(app, issuer="http://api.localhost:1", dev=True, signing_key=SigningKey.generate())
    request: Any = type("Request", (), {"scope": {}})()
    for call in (aauth.downstream, aauth.downstream_blocking):
        with pytest.raises(ConfigurationError, match="intermediary=True"):
            call(request)
    with pytest.raises(ConfigurationError):
        AAuth(resource=aauth.resource, intermediary=True)
