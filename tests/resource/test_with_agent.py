"""This resource and this library's agent climb the ladder together, neither knowing the other's code."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from aauthlib.agent import AgentContext, exchange
from aauthlib.effects import Direct, FindKey, FindMetadata
from aauthlib.http import Fields, Request, Response
from aauthlib.keys import SigningKey
from aauthlib.resource import MemoryResourceStore, Resource
from aauthlib.transport import AsyncWire
from aauthlib.verification import Level
from aauthlib.web.resource import AAuthMiddleware
from tests.agent.world import AGENT, PS, RESOURCE, PersonServer, World, make_agent
from tests.resource.world import SCOPES, App, NoNetwork, call, default_policy


class Directory:
    """What the agent's world publishes, as the resource finds it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def lock_key(self, effect: FindKey | FindMetadata) -> str:
        return effect.issuer

    def cached(self, effect: FindKey | FindMetadata) -> Any:
        return self._world.directory.cached(effect)

    def find_key(self, effect: FindKey) -> Any:
        return self._world.directory.find_key(effect)

    def find_metadata(self, effect: FindMetadata) -> Any:
        return self._world.directory.find_metadata(effect)


class Meeting:
    """One agent, its person server, and the resource behind its middleware."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.world = World()
        self.loop = loop
        self.key, agent_key = SigningKey.generate(kid="r"), SigningKey.generate(kid="a")
        self.world.publish(AGENT, agent_key)
        self.agent_key = agent_key
        self.app = App()
        self.ps = PersonServer(self.world)
        self.resource = Resource(
            issuer=RESOURCE,
            wire=AsyncWire(NoNetwork(), Directory(self.world)),
            store=MemoryResourceStore(self.world.clock),
            signing_key=self.key,
            clock=self.world.clock,
            scopes=SCOPES,
            account_holder=self._yes,
            sign_in=self._nobody,
        )
        self.asgi = AAuthMiddleware(self.app, self.resource, default_policy())
        self.statuses: list[int] = []
        published = self.resource.metadata_document()
        own = {name: value for name, value in published.items() if name not in ("issuer", "jwks_uri")}
        self.world.publish(RESOURCE, self.key, **own)
        self.world.servers[RESOURCE] = self._serve

    async def _yes(self, person: tuple[str, str], account: str) -> bool:
        return True

    async def _nobody(self, username: str, password: str) -> str | None:
        return None

    def _serve(self, request: Request) -> Response:
        response = self.loop.run_until_complete(call(self.asgi, request))
        self.statuses.append(response.status)
        return response

    def agent(self, opening: Level = Level.IDENTIFIED) -> AgentContext:
        return make_agent(self.world, self.agent_key, opening=opening)

    def fetch(self, path: str, agent: AgentContext, *, method: str = "GET", body: bytes = b"") -> Response:
        headers = {"content-type": "application/json"} if body else {}
        request = Request(method, RESOURCE + path, Fields(headers), body)
        return self.world.drive(exchange(agent, request))


@pytest.fixture
def meeting() -> Iterator[Meeting]:
    loop = asyncio.new_event_loop()
    yield Meeting(loop)
    loop.close()


@pytest.mark.spec("signature-key#4.4", "signature-key#4.5")
def test_after_the_anonymous_limit_the_agent_signs_and_is_served(meeting: Meeting) -> None:
    agent = meeting.agent(Level.ANONYMOUS)
    assert [meeting.fetch("/events", agent).status for _ in range(4)] == [200] * 4
    assert meeting.statuses == [200, 200, 200, 429, 200]
    assert [grant.level for grant in meeting.app.grants][-2:] == [Level.ANONYMOUS, Level.PSEUDONYM]


@pytest.mark.spec("#consuming-a-resource")
def test_one_agent_climbs_every_rung(meeting: Meeting) -> None:
    agent = meeting.agent(Level.ANONYMOUS)
    for path in ("/hello", "/agents", "/me", "/private"):
        assert meeting.fetch(path, agent).status == 200
    assert [grant.level for grant in meeting.app.grants] == [
        Level.PSEUDONYM,
        Level.IDENTIFIED,
        Level.PERSON,
        Level.AUTHORIZED,
    ]
    assert meeting.statuses == [401, 200, 401, 200, 401, 200, 401, 200]
    assert meeting.app.grants[-1].person == (PS, "pairwise-1")


@pytest.mark.spec("#incremental-consent")
def test_a_step_up_keeps_what_was_granted(meeting: Meeting) -> None:
    agent = meeting.agent()
    assert meeting.fetch("/private", agent).status == 200
    assert meeting.fetch("/events", agent, method="POST", body=b"{}").status == 200
    assert meeting.fetch("/private", agent).status == 200
    assert meeting.app.grants[-1].scope == {"calendar.read", "calendar.write"}
    assert meeting.statuses.count(401) == 3


@pytest.mark.spec("#deferred-auth-token")
def test_a_held_invocation_is_carried_out_once(meeting: Meeting) -> None:
    response = meeting.fetch("/held?x=1", meeting.agent(), method="POST", body=b'{"title":"lunch"}')
    assert (response.status, response.body) == (200, b"served")
    assert meeting.app.calls == [("POST", "/held", b'{"title":"lunch"}')]
    assert 202 in meeting.statuses


@pytest.mark.spec("#resource-managed-auth", "#aauth-access")
def test_the_person_decides_at_the_resource_and_the_session_goes_on(meeting: Meeting) -> None:
    interactions, run = meeting.resource.interactions, meeting.loop.run_until_complete

    def decide(effect: object) -> bool:
        if isinstance(effect, Direct):
            handle = effect.url.rsplit("/", 1)[1]
            run(interactions.arrive(handle, effect.code, "user-1"))
            run(interactions.approve(handle, "user-1"))
        return False

    meeting.world.interrupt_at = decide
    agent = meeting.agent()
    assert meeting.fetch("/managed", agent).body == b"served", "the request is made again with the session it ended in"
    assert meeting.fetch("/managed", agent).body == b"served"
    meeting.world.now += 700
    for _ in range(2):
        assert meeting.fetch("/managed", agent).body == b"served"
    assert {grant.user for grant in meeting.app.grants} == {"user-1"}
    assert meeting.statuses.count(202) == 1
