"""The agent against this library's own agent provider, on SQLite: the wire format is one and the same."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aauthlib.agent import AsyncAgent, EnrolmentFailed, enroll
from aauthlib.agent.provider_client import RefreshMode
from aauthlib.discovery import Directory, TransportError
from aauthlib.effects import Send
from aauthlib.errors import AAuthError
from aauthlib.http import Response, json_response
from aauthlib.keys import SigningKey
from aauthlib.messages.metadata import dump_metadata
from aauthlib.messages.problems import error_response
from aauthlib.provider import AgentProvider, InvitationCodes
from aauthlib.store.database import Database
from aauthlib.store.provider import SQLProviderStore
from aauthlib.transport import AsyncWire

AP = "https://ap.example"
PS = "https://ps.example"


class InProcess:
    """A transport that hands requests to the provider."""

    def __init__(self, store: SQLProviderStore) -> None:
        self.store = store
        self.provider: AgentProvider | None = None

    async def send(self, effect: Send) -> Response:
        request, provider = effect.request, self.provider
        if request.origin != AP or provider is None:
            raise TransportError("Only the provider is here.")
        try:
            match request.path:
                case "/.well-known/aauth-agent.json":
                    return json_response(200, dump_metadata(provider.metadata()))
                case "/.well-known/jwks.json" | "/jwks.json":
                    return json_response(200, (await provider.jwks()).to_document())
                case "/enroll":
                    return await provider.enroll(request)
                case "/refresh":
                    return await provider.refresh(request)
                case "/subagent":
                    return await provider.subagent(request)
        except AAuthError as error:
            return error_response(error)
        return Response(404)


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[AsyncWire]:
    database = await Database.open(f"sqlite:///{tmp_path}/provider.db")
    transport = InProcess(SQLProviderStore(database))
    wire = AsyncWire(transport, Directory(clock=time.time))
    transport.provider = AgentProvider(AP, store=transport.store, wire=wire, clock=time.time)
    yield wire
    await wire.settle()
    await database.close()


@pytest.mark.spec("#agent-token-acquisition-overview", "#sub-agents")
@pytest.mark.parametrize("mode", ["two-key", "single-key"])
async def test_an_agent_enrols_refreshes_and_has_sub_agents(wire: AsyncWire, mode: RefreshMode) -> None:
    durable = SigningKey.generate()
    source, first = await wire.run(enroll(AP, durable, clock=time.time, ps=PS, label="Laptop", mode=mode))
    assert first.token is not None and first.token.iss == AP
    agent = AsyncAgent(source, wire=wire)
    token = await agent.agent_token()
    assert (token.sub, token.ps) == (source.agent, PS)
    assert (token.cnf == durable.public) == (mode == "single-key")
    child = await agent.spawn("search1").agent_token()
    assert child.parent_agent == token.sub and child.sub.partition("@")[0].endswith("+search1")


@pytest.mark.spec("#agent-token-acquisition-overview")
async def test_a_provider_that_wants_an_invitation_says_so(wire: AsyncWire) -> None:
    transport = wire.transport
    assert isinstance(transport, InProcess)
    transport.provider = AgentProvider(
        AP, store=transport.store, wire=wire, clock=time.time, gate=InvitationCodes(["welcome"])
    )
    with pytest.raises(EnrolmentFailed, match="by invitation"):
        await wire.run(enroll(AP, SigningKey.generate(), clock=time.time))
    source, _ = await wire.run(enroll(AP, SigningKey.generate(), clock=time.time, invitation="welcome"))
    assert source.agent is not None
