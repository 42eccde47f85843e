"""The process that runs an `introspection-aauth` server, `person` or `access`, on loopback HTTP under its own name.

Started by test_introspection.py: `python introspection_serve.py person|access PORT NAMES DECISION`. NAMES is JSON, host
to loopback port; DECISION is `approve` or `deny`, what its person says to every question.
"""

from __future__ import annotations

import asyncio
import json
import sys

import httpx2
import uvicorn
from fastapi import FastAPI
from introspection_aauth.access_server import AccessRequest, AccessServer, Verdict
from introspection_aauth.fastapi import access_server_router, person_server_router
from introspection_aauth.person_server import Approval, ApprovalStatus, MemoryStore, PersonServer
from introspection_aauth.protocol import SigningKey

AP, RS, PS, AS = (f"https://{name}.example" for name in ("ap", "rs", "ps", "as"))


class Mapped(httpx2.AsyncBaseTransport):
    """Connects the test's names to their loopback ports; `Host` stays the name."""

    def __init__(self, ports: dict[str, int]) -> None:
        self.ports, self.inner = ports, httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        host = request.url.host
        if host not in self.ports:
            raise httpx2.ConnectError(f"{host} is not part of this test", request=request)
        moved = request.url.copy_with(scheme="http", host="127.0.0.1", port=self.ports[host])
        headers = httpx2.Headers(request.headers)
        headers["host"] = host
        return await self.inner.handle_async_request(
            httpx2.Request(request.method, moved, headers=headers, stream=request.stream, extensions=request.extensions)
        )


def person_app(http: httpx2.AsyncClient, status: ApprovalStatus) -> FastAPI:
    """Their person server, with a person who says `status` to everything."""
    deciding: set[asyncio.Task[object]] = set()

    async def decide(tenant: str, approval: Approval) -> None:
        await server.decide(tenant, approval.id, status, decided_by=approval.person)

    async def on_approval(tenant: str, approval: Approval) -> None:
        # Not within the request that raises the question: the agent is to see it pending.
        task = asyncio.create_task(decide(tenant, approval))
        deciding.add(task)
        task.add_done_callback(deciding.discard)

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
        retry_after=1,
    )
    app = FastAPI()
    app.include_router(person_server_router(server))
    return app


def access_app(http: httpx2.AsyncClient) -> FastAPI:
    """Their access server, which refuses to have anything changed."""

    def policy(request: AccessRequest) -> Verdict:
        return Verdict.deny("not here") if "data.write" in (request.scope or "") else Verdict.allow()

    server = AccessServer(
        AS,
        SigningKey.generate(),
        policy,
        resources=[RS],
        person_servers=[PS],
        agent_providers=[AP],
        http=http,
        endpoint_base=f"{AS}/aauth",
        retry_after=1,
    )
    app = FastAPI()
    app.include_router(access_server_router(server))
    return app


def main() -> None:
    role, port, names, decision = sys.argv[1:]
    http = httpx2.AsyncClient(transport=Mapped(json.loads(names)), trust_env=False)
    status = ApprovalStatus.APPROVED if decision == "approve" else ApprovalStatus.DENIED
    app = person_app(http, status) if role == "person" else access_app(http)
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="info", access_log=False)


if __name__ == "__main__":
    main()
