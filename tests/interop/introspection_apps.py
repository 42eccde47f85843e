"""The servers of `introspection-aauth`, with people and policies that decide by themselves, as apps under our names."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import httpx2
from fastapi import FastAPI
from introspection_aauth.access_server import AccessRequest, AccessServer, PendingAccess, Verdict
from introspection_aauth.fastapi import access_server_router, person_server_router
from introspection_aauth.person_server import Approval, ApprovalStatus, MemoryStore, PersonServer
from introspection_aauth.protocol import SigningKey

from tests.interop.world import AP, AS, PS, RS, Names


class Mapped(httpx2.AsyncBaseTransport):
    """Connects the test's names to their loopback ports; `Host` stays the name."""

    def __init__(self, names: Names) -> None:
        self.names, self.inner = names, httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.host
        port = self.names.ports.get(f"https://{host}")
        if port is None:
            raise httpx2.ConnectError(f"{host} is not part of this test", request=request)
        moved = request.url.copy_with(scheme="http", host="127.0.0.1", port=port)
        headers = httpx2.Headers(request.headers)
        headers["host"] = host
        return await self.inner.handle_async_request(
            httpx2.Request(request.method, moved, headers=headers, stream=request.stream, extensions=request.extensions)
        )

    async def aclose(self) -> None:
        await self.inner.aclose()


class Meanwhile:
    """What happens after a request was answered and not within it: whoever asked is to see it pending."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    def start(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def person_app(http: httpx2.AsyncClient, decision: str) -> FastAPI:
    """Their person server, with a person who says `decision` to everything: `approve` or `deny`."""
    meanwhile = Meanwhile()
    status = ApprovalStatus.APPROVED if decision == "approve" else ApprovalStatus.DENIED

    async def on_approval(tenant: str, approval: Approval) -> None:
        meanwhile.start(server.decide(tenant, approval.id, status, decided_by=approval.person))

    async def on_federate(tenant: str, approval: Approval) -> None:
        # What it does without this hook, but for how long it pauses between two polls.
        meanwhile.start(server.federate(tenant, approval.id, sleep=lambda seconds: asyncio.sleep(min(seconds, 0.05))))

    server = PersonServer(
        PS,
        SigningKey.generate(),
        MemoryStore(),
        subject_secret=b"s" * 32,
        agent_providers=[AP],
        http=http,
        endpoint_base=f"{PS}/aauth",
        default_tenant="acme",
        on_approval=on_approval,
        on_federate=on_federate,
        retry_after=1,
    )
    app = FastAPI()
    app.include_router(person_server_router(server))
    return app


VERDICTS = {
    "approve": Verdict.allow(),
    "narrow": Verdict.allow(scope="data.read"),
    "approval": Verdict.approval(),
    "refusal": Verdict.approval(),
    "interaction": Verdict.interaction(f"{AS}/aauth/interaction", "A1B2-C3D4"),
    # Of these it decides nothing: it does not know who asks, or for what, or whose the agent is.
    "stranger": Verdict.allow(),
    "elsewhere": Verdict.allow(),
    "unprovided": Verdict.allow(),
}


def access_app(http: httpx2.AsyncClient, decision: str) -> FastAPI:
    """Their access server, which says what `decision` names; with `approve` it refuses to have anything changed.

    An approval is given a moment later, for `refusal` it is refused; an interaction ends with a visit to its page.
    """
    meanwhile = Meanwhile()
    interactions: dict[str, str] = {}

    def policy(request: AccessRequest) -> Verdict:
        if decision == "approve" and "data.write" in (request.scope or ""):
            return Verdict.deny("not here")
        return VERDICTS[decision]

    async def on_pending(pending: PendingAccess) -> None:
        if pending.verdict.code is not None:
            interactions[pending.verdict.code] = pending.id
        else:
            meanwhile.start(server.decide(pending.id, decision == "approval"))

    server = AccessServer(
        AS,
        SigningKey.generate(),
        policy,
        resources=[] if decision == "elsewhere" else [RS],
        person_servers=[] if decision == "stranger" else [PS],
        agent_providers=[] if decision == "unprovided" else [AP],
        http=http,
        endpoint_base=f"{AS}/aauth",
        retry_after=1,
        on_pending=on_pending,
    )
    app = FastAPI()
    app.include_router(access_server_router(server))

    @app.get("/aauth/interaction")
    async def interaction(code: str) -> str:
        await server.decide(interactions[code], True)
        return "Confirmed."

    return app
