"""Fixtures of the agent's tests: the world on paper, one agent in it, and a way to fetch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from aauthlib.agent import AgentContext, GrantPreferences, OpenRequests, exchange
from aauthlib.http import Fields, Request, Response
from aauthlib.keys import SigningKey
from tests.agent.world import AGENT, CALENDAR, PersonServer, Resource, World, make_agent


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def agent_key() -> SigningKey:
    return SigningKey.generate(kid="a1")


@pytest.fixture
def agent(world: World, agent_key: SigningKey) -> AgentContext:
    """A self-hosted agent with a person server."""
    world.publish(AGENT, agent_key)
    return make_agent(world, agent_key)


@pytest.fixture
def ps(world: World) -> PersonServer:
    return PersonServer(world)


@pytest.fixture
def resource(world: World) -> Resource:
    return Resource(world)


@pytest.fixture
def fetch(world: World, agent: AgentContext) -> Callable[..., Response]:
    def fetch(
        url: str = CALENDAR,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        by: AgentContext | None = None,
        preferences: GrantPreferences | None = None,
        open_requests: OpenRequests | None = None,
    ) -> Response:
        request = Request(method, url, Fields(headers or {}), body)
        return world.drive(exchange(by or agent, request, preferences=preferences, open_requests=open_requests))

    return fetch
