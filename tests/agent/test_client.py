"""`Agent`, `AsyncAgent` and the `httpx2` adapter over real HTTP: three servers on loopback, nothing mocked."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest

from aauthlib.agent import AAuth, Agent, AsyncAgent, ChallengeInvalid, FileKeystore, Identity, SelfIssued, save_identity
from aauthlib.deferred.polling import PollPolicy
from aauthlib.discovery import TransportError
from aauthlib.effects import Answer, Direct, Report
from aauthlib.errors import ConfigurationError, Denied
from aauthlib.http import Fields, Request, Response, json_response
from aauthlib.keys import SigningKey
from aauthlib.transport import Wire
from aauthlib.verification import Caller, Level
from tests.agent.loopback import LiveWorld, Loopback
from tests.agent.world import PersonServer, Resource, ok, problem, requires


@dataclass
class Live:
    world: LiveWorld
    net: Loopback
    resource: Resource
    ps: PersonServer
    source: SelfIssued
    directed: list[Direct] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.resource.issuer + "/calendar"

    def options(self, **options: Any) -> dict[str, Any]:
        return {
            "dev": True,
            "on_interaction": self.directed.append,
            "on_report": self.reports.append,
            "poll": PollPolicy(wait_s=1, deadline_s=30.0),
            **options,
        }


@pytest.fixture
def live() -> Iterator[Live]:
    world = LiveWorld()
    net = Loopback(world)
    key = SigningKey.generate(kid="a1")
    issuer, person, api = (net.serve(name) for name in ("agent", "ps", "api"))
    world.publish(issuer, key)
    ps = PersonServer(world, person)
    resource = Resource(world, api)

    def respond(request: Request, caller: Caller) -> Response:
        if request.path.startswith("/public"):
            return ok()
        if caller.auth_token is not None:
            return json_response(200, {"method": request.method, "body": request.body.decode(), "path": request.target})
        return resource.challenge(caller) if caller.presented else requires("person-token")

    resource.respond = respond
    source = SelfIssued(issuer, "aauth:assistant@agent.localhost", key, world.clock, ps=person, dev=True)
    yield Live(world, net, resource, ps, source)
    net.close()


@pytest.fixture
def agent(live: Live) -> Iterator[Agent]:
    with Agent(live.source, **live.options()) as agent:
        yield agent


@pytest.fixture
async def async_agent(live: Live) -> AsyncIterator[AsyncAgent]:
    async with AsyncAgent(live.source, **live.options()) as agent:
        yield agent


# --------------------------------------------------------------------------- Agent


@pytest.mark.spec("#consuming-a-resource")
def test_an_agent_climbs_to_a_grant_and_returns_an_httpx2_response(live: Live, agent: Agent) -> None:
    response = agent.post(
        live.url, params={"q": "ä b"}, json={"title": "Lunch"}, justification="To see if you are free."
    )
    assert isinstance(response, httpx2.Response)
    assert response.json() == {"method": "POST", "body": '{"title":"Lunch"}', "path": "/calendar?q=%C3%A4+b"}
    assert live.resource.levels == [Level.IDENTIFIED, Level.PERSON, Level.AUTHORIZED]
    assert {body["justification"] for _, body in live.ps.bodies} == {"To see if you are free."}
    assert [report.event for report in live.reports].count("challenge") == 2


@pytest.mark.parametrize("method", ["get", "head", "post", "put", "patch", "delete"])
def test_every_method_of_http_is_there(live: Live, agent: Agent, method: str) -> None:
    response = getattr(agent, method)(live.resource.issuer + "/public")
    assert response.status_code == 200
    assert live.net.requests[-1].method == method.upper()


@pytest.mark.spec("#interaction-required")
def test_a_person_is_sent_to_the_page_while_the_agent_waits(live: Live, agent: Agent) -> None:
    live.ps.polls = 1
    assert agent.get(live.url).status_code == 200
    assert [direct.url for direct in live.directed] == [f"{live.ps.issuer}/consent"] * 2


@pytest.mark.spec("#cancel-request")
def test_ctrl_c_withdraws_the_pending_request_and_is_raised_again(live: Live) -> None:
    live.ps.polls = 1000

    def interrupt(direct: Direct) -> None:
        raise KeyboardInterrupt

    with Agent(live.source, **live.options(on_interaction=interrupt)) as agent, pytest.raises(KeyboardInterrupt):
        agent.get(live.url)
    assert live.ps.cancelled == 1


@pytest.mark.spec("#person-token-endpoint")
def test_a_person_token_can_be_had_ahead_and_is_kept(live: Live, agent: Agent) -> None:
    token = agent.person_token(live.resource.issuer)
    assert (token.aud, token.iss) == (live.resource.issuer, live.ps.issuer)
    assert agent.person_token(live.resource.issuer) == token
    assert len(live.ps.bodies) == 1


@pytest.mark.spec("#authorization-endpoint-request")
def test_access_can_be_asked_for_ahead_of_any_call(live: Live, agent: Agent) -> None:
    resource = live.resource
    live.world.publish(resource.issuer, resource.key, authorization_endpoint=f"{resource.issuer}/authorize")
    climb = resource.respond
    resource.respond = lambda request, caller: (
        json_response(200, {"resource_token": resource.resource_token(caller)})
        if request.path == "/authorize" and caller.person_token
        else climb(request, caller)
    )
    token = agent.authorize(resource.issuer, "calendar.read")
    assert token is not None and token.scope == ("calendar.read",)
    agent.get(live.url)
    assert resource.levels == [Level.PERSON, Level.AUTHORIZED]


@pytest.mark.spec("#authorization-endpoint-error-responses")
def test_a_refusal_of_the_authorization_endpoint_is_told(live: Live, agent: Agent) -> None:
    resource = live.resource
    with pytest.raises(Exception, match="has no authorization endpoint"):
        agent.authorize(resource.issuer, "calendar.read")


@pytest.mark.spec("#parent-mediated-authorization", "#sub-agents")
def test_a_sub_agent_is_spoken_for_by_its_parent(live: Live, agent: Agent) -> None:
    child = agent.spawn("search1")
    assert child.get(live.url).status_code == 200
    token = child.agent_token()
    assert (token.sub, token.parent_agent) == (
        "aauth:assistant+search1@agent.localhost",
        "aauth:assistant@agent.localhost",
    )
    assert {caller.agent_token.sub for caller in live.ps.callers if caller.agent_token} == {token.parent_agent}
    assert all("subagent_token" in body for _, body in live.ps.bodies)
    assert live.resource.callers[-1].key == token.cnf != agent.agent_token().cnf
    with pytest.raises(Exception, match="one level deep"):
        child.spawn("deeper").agent_token()


def test_one_agent_serves_several_threads(live: Live, agent: Agent) -> None:
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(agent.get(live.url).status_code)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert statuses == [200] * 6
    assert [path for path, _ in live.ps.bodies] == ["/person", "/token"]


def test_an_identity_on_disk_is_loaded_and_used(live: Live, tmp_path: Any) -> None:
    identity = Identity(
        agent=live.source.agent, issuer=live.source.issuer, mode="self-issued", ps=live.ps.issuer, dev=True
    )
    save_identity(identity, live.source.key, home=tmp_path)
    options = {name: value for name, value in live.options().items() if name != "dev"}
    with Agent.load(home=tmp_path, keystore=FileKeystore(tmp_path), **options) as agent:
        assert agent.get(live.url).status_code == 200


def test_a_wire_of_the_applications_own_is_used_and_left_open(live: Live) -> None:
    with Wire.open(dev=True) as wire:
        with Agent(live.source, wire=wire, **live.options()) as agent:
            agent.get(live.resource.issuer + "/public")
        with Agent(live.source, wire=wire, **live.options(opening="anonymous")) as agent:
            agent.get(live.resource.issuer + "/public")
    assert live.resource.levels == [Level.IDENTIFIED, Level.ANONYMOUS]


def test_redirects_are_returned_and_not_followed(live: Live, agent: Agent) -> None:
    live.resource.respond = lambda request, caller: Response(302, Fields({"location": f"{live.ps.issuer}/x"}))
    response = agent.get(live.url)
    assert (response.status_code, response.headers["location"]) == (302, f"{live.ps.issuer}/x")
    assert len(live.net.requests) == 1


def test_an_answer_larger_than_allowed_is_refused(live: Live) -> None:
    live.resource.respond = lambda request, caller: Response(200, body=b"x" * 1001)
    with Agent(live.source, **live.options(max_body_bytes=1000)) as agent, pytest.raises(TransportError, match="1000"):
        agent.get(live.url)


# --------------------------------------------------------------------------- AsyncAgent


@pytest.mark.spec("#consuming-a-resource")
async def test_the_asynchronous_agent_climbs_the_same_ladder(live: Live, async_agent: AsyncAgent) -> None:
    response = await async_agent.put(live.url, content=b"text", headers={"content-type": "text/plain"})
    assert response.json() == {"method": "PUT", "body": "text", "path": "/calendar"}
    assert live.resource.levels == [Level.IDENTIFIED, Level.PERSON, Level.AUTHORIZED]
    assert (await async_agent.person_token(live.resource.issuer)).aud == live.resource.issuer
    assert (await async_agent.agent_token()).sub == live.source.agent


async def test_many_requests_at_once_ask_the_person_once(live: Live, async_agent: AsyncAgent) -> None:
    statuses: list[int] = []

    async def get() -> None:
        statuses.append((await async_agent.get(live.url)).status_code)

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(get)
    assert statuses == [200] * 8
    assert [path for path, _ in live.ps.bodies] == ["/person", "/token"]


async def test_hooks_may_be_coroutines(live: Live) -> None:
    live.ps.polls = 1
    seen: list[str] = []

    async def hook(effect: Direct | Answer | Report) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(type(effect).__name__)

    async with AsyncAgent(live.source, **live.options(on_interaction=hook, on_report=hook)) as agent:
        assert (await agent.get(live.url)).status_code == 200
    assert {"Direct", "Report"} <= set(seen)


@pytest.mark.spec("#cancel-request")
async def test_cancelling_withdraws_the_pending_request(live: Live) -> None:
    live.ps.polls = 1000
    with anyio.CancelScope() as scope:

        def stop(direct: Direct) -> None:
            scope.cancel()

        async with AsyncAgent(live.source, **live.options(on_interaction=stop)) as agent:
            await agent.get(live.url)
    assert scope.cancelled_caught
    assert live.ps.cancelled == 1


# --------------------------------------------------------------------------- httpx2.Auth


class Rewriting(httpx2.HTTPTransport):
    """Sends `*.localhost` to loopback, as some resolvers do and some do not."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = request.url.copy_with(host="127.0.0.1")
        return super().handle_request(request)


class AsyncRewriting(httpx2.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = request.url.copy_with(host="127.0.0.1")
        return await super().handle_async_request(request)


@pytest.mark.spec("#consuming-a-resource")
def test_an_applications_own_client_gets_through(live: Live, agent: Agent) -> None:
    with httpx2.Client(
        auth=AAuth(agent, justification="Because."), headers={"x-app": "mine"}, transport=Rewriting()
    ) as client:
        response = client.post(live.url, json={"a": 1})
        assert response.json() == {"method": "POST", "body": '{"a":1}', "path": "/calendar"}
        assert client.get(live.url).status_code == 200
    assert live.resource.levels[:3] == [Level.IDENTIFIED, Level.PERSON, Level.AUTHORIZED]
    mine = [request.headers.get("x-app") for request in live.net.requests if request.origin == live.resource.issuer]
    assert mine == ["mine"] * 4
    assert all("x-app" not in request.headers for request in live.net.requests if request.origin == live.ps.issuer)


async def test_an_applications_own_asynchronous_client_gets_through(live: Live, async_agent: AsyncAgent) -> None:
    async with httpx2.AsyncClient(auth=AAuth(async_agent), transport=AsyncRewriting()) as client:
        response = await client.post(live.url, content=b"x")
        assert response.json()["body"] == "x"
    assert live.resource.levels == [Level.IDENTIFIED, Level.PERSON, Level.AUTHORIZED]


@pytest.mark.spec("#deferred-auth-token")
def test_a_held_request_is_polled_through_the_applications_client(live: Live, agent: Agent) -> None:
    resource = live.resource

    def respond(request: Request, caller: Caller) -> Response:
        if caller.auth_token is not None and request.path == "/pending/1":
            return json_response(200, {"done": True})
        if caller.presented is None:
            return requires("person-token")
        header = resource.challenge(caller).headers.get("aauth-requirement") or ""
        fields = [("aauth-requirement", header), ("location", "/pending/1"), ("retry-after", "0")]
        return json_response(202, {"status": "pending"}, headers=fields)

    resource.respond = respond
    with httpx2.Client(auth=AAuth(agent), transport=Rewriting()) as client:
        assert client.get(live.url).json() == {"done": True}


def test_what_a_place_behind_a_redirect_requires_is_not_met(live: Live, agent: Agent) -> None:
    elsewhere = live.net.serve("evil")
    live.world.servers[elsewhere] = lambda request: requires("person-token")
    live.resource.respond = lambda request, caller: Response(307, Fields({"location": f"{elsewhere}/x"}))
    with httpx2.Client(auth=AAuth(agent), transport=Rewriting(), follow_redirects=True) as client:
        assert client.get(live.url).status_code == 401
    assert live.ps.bodies == []


def test_errors_of_the_exchange_come_out_of_the_clients_call(live: Live, agent: Agent) -> None:
    with httpx2.Client(auth=AAuth(agent), transport=Rewriting()) as client:
        live.ps.refuse = lambda path, body: problem(403, "denied")
        with pytest.raises(Denied):
            client.get(live.url)
        live.resource.respond = lambda request, caller: requires("auth-token")
        with pytest.raises(ChallengeInvalid):
            client.get(live.url)


@pytest.mark.spec("#cancel-request")
def test_a_client_that_is_interrupted_withdraws(live: Live) -> None:
    live.ps.polls = 1000

    def interrupt(direct: Direct) -> None:
        raise KeyboardInterrupt

    with (
        Agent(live.source, **live.options(on_interaction=interrupt)) as agent,
        httpx2.Client(auth=AAuth(agent), transport=Rewriting()) as client,
        pytest.raises(KeyboardInterrupt),
    ):
        client.get(live.url)
    assert live.ps.cancelled == 1


def test_a_body_that_needs_nothing_of_the_protocol_is_streamed(live: Live, agent: Agent) -> None:
    with (
        httpx2.Client(auth=AAuth(agent), transport=Rewriting()) as client,
        client.stream("GET", live.resource.issuer + "/public") as response,
    ):
        assert not response.is_stream_consumed
        assert response.read() == b"events"


async def test_the_wrong_kind_of_agent_is_named(live: Live, agent: Agent, async_agent: AsyncAgent) -> None:
    with httpx2.Client(auth=AAuth(async_agent)) as client, pytest.raises(ConfigurationError, match="Client needs"):
        client.get(live.url)
    async with httpx2.AsyncClient(auth=AAuth(agent)) as client:
        with pytest.raises(ConfigurationError, match="AsyncClient needs"):
            await client.get(live.url)
