"""`AAuth`: an `httpx2.Auth` over the same challenge loop, for an application's own `httpx2` client.

Requests to the resource go through that client, with its connections, proxies and timeouts; everything else (person
server, agent provider, keys, metadata) goes through the agent's guarded transport. A response that was reached through
redirects is handed back as it is: who answered is not who was asked, so nothing it requires is met.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

import httpx2

from ..effects import Answer, Direct, Effect, Report, Send
from ..errors import AAuthError, ConfigurationError
from ..http import Fields, Request, Response
from .async_client import AsyncAgent
from .bridging import from_httpx
from .client import Agent
from .context import OpenRequests
from .loop import exchange
from .sending import ResourceSend

__all__ = ["AAuth"]

_READ_STATUSES = frozenset({202, 401, 402, 429})


class AAuth(httpx2.Auth):
    """`httpx2.Client(auth=AAuth(agent))`, or `httpx2.AsyncClient(auth=AAuth(async_agent))`.

    `justification` goes to the person, if one is asked for. Raises what `exchange` raises, through the client's call.
    """

    def __init__(self, agent: Agent | AsyncAgent, *, justification: str | None = None) -> None:
        self._agent, self._justification = agent, justification

    def sync_auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """What `httpx2.Client` runs."""
        agent = self._agent
        if not isinstance(agent, Agent):
            raise ConfigurationError("An httpx2.Client needs AAuth(Agent(...)); AsyncAgent is for httpx2.AsyncClient.")
        request.read()
        steps = _Steps(agent, request, self._justification)
        try:
            while (effect := steps.next()) is not None:
                if isinstance(effect, ResourceSend):
                    response = yield steps.outgoing(effect)
                    if steps.redirected(response):
                        return
                    if response.status_code in _READ_STATUSES:
                        response.read()
                    steps.answer = _plain(response)
                    continue
                try:
                    steps.answer = agent.handle(effect) if _for_people(effect) else agent.wire.perform(effect)
                except AAuthError as error:
                    steps.failure = error
        finally:
            steps.close()
            agent.withdraw(steps.opened)

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """What `httpx2.AsyncClient` runs."""
        agent = self._agent
        if not isinstance(agent, AsyncAgent):
            raise ConfigurationError("An httpx2.AsyncClient needs AAuth(AsyncAgent(...)); Agent is for httpx2.Client.")
        await request.aread()
        steps = _Steps(agent, request, self._justification)
        try:
            while (effect := steps.next()) is not None:
                if isinstance(effect, ResourceSend):
                    response = yield steps.outgoing(effect)
                    if steps.redirected(response):
                        return
                    if response.status_code in _READ_STATUSES:
                        await response.aread()
                    steps.answer = _plain(response)
                    continue
                try:
                    wire = agent.wire
                    steps.answer = await (agent.handle(effect) if _for_people(effect) else wire.perform(effect))
                except AAuthError as error:
                    steps.failure = error
        finally:
            steps.close()
            await agent.withdraw(steps.opened)


class _Steps:
    """The exchange, one effect at a time."""

    def __init__(self, agent: Agent | AsyncAgent, request: httpx2.Request, justification: str | None) -> None:
        self.opened = OpenRequests()
        self.answer: Any = None
        self.failure: AAuthError | None = None
        self._original = self._sent = request
        self._plain = from_httpx(request)
        self._flow = exchange(
            agent.context,
            self._plain,
            preferences=agent.preferences(justification),
            open_requests=self.opened,
        )

    def next(self) -> Effect | None:
        """The next effect; `None` when the exchange is over and the last response is its result."""
        answer, failure = self.answer, self.failure
        self.answer = self.failure = None
        try:
            return self._flow.send(answer) if failure is None else self._flow.throw(failure)
        except StopIteration:
            return None

    def close(self) -> None:
        self._flow.close()

    def outgoing(self, effect: Send) -> httpx2.Request:
        """The request for the application's client to send."""
        request, original = effect.request, self._original
        extensions = dict(original.extensions)
        if (request.method, request.url) != (self._plain.method, self._plain.url):
            # A poll waits as long as it asked the server to, whatever the client's own patience.
            known = extensions.get("timeout") or {}
            extensions["timeout"] = {**known, "read": effect.timeout_s, "pool": known.get("pool", effect.timeout_s)}
        headers = [(name, value) for name, value in request.headers]
        if "host" in original.headers and _same_place(request, self._plain):
            headers.insert(0, ("host", original.headers["host"]))
        self._sent = httpx2.Request(
            request.method, request.url, headers=headers, content=request.body or None, extensions=extensions
        )
        return self._sent

    def redirected(self, response: httpx2.Response) -> bool:
        """Whether the response belongs to another request than was handed out: the client followed a redirect."""
        return response.request is not self._sent


def _same_place(one: Request, other: Request) -> bool:
    return one.origin == other.origin


def _plain(response: httpx2.Response) -> Response:
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.raw]
    body = response.content if response.status_code in _READ_STATUSES else b""
    return Response(response.status_code, Fields(fields), body)


def _for_people(effect: Effect) -> bool:
    return isinstance(effect, Direct | Answer | Report)
