"""Several processes of one server that share received requests by URL: refused everywhere, and closed in order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from aauthlib.access import Allow, CallablePolicy
from aauthlib.discovery import StaticDirectory
from aauthlib.effects import Send
from aauthlib.errors import ConfigurationError
from aauthlib.http import Fields, Request, Response
from aauthlib.httpsig import HWK, sign
from aauthlib.keys import SigningKey
from aauthlib.store.database import Database
from aauthlib.store.replay_valkey import ValkeyReplayCache
from aauthlib.store.replays import open_replay_cache
from aauthlib.transport import AsyncWire
from aauthlib.web.access import build_access_app
from aauthlib.web.person import build_person_app
from aauthlib.web.provider import open_provider_app
from tests.access.parties import AS, open_world
from tests.resource.world import World
from tests.valkey_server import PASSWORD, ValkeyServer, free_port, running_valkey

AP = "https://ap.example"
NOW = 1_800_000_000.0


class Nowhere:
    """A network that is not used."""

    async def send(self, effect: Send) -> Response:
        raise AssertionError(f"nothing should be called, but {effect.request.url} was")


def no_wire() -> AsyncWire:
    return AsyncWire(Nowhere(), StaticDirectory())


@pytest.fixture
async def closing() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def provider(url: str, closing: AsyncExitStack) -> httpx2.AsyncClient:
    """A process of the provider, with a database of its own: all it shares with others is `url`."""
    app = await open_provider_app("sqlite://", AP, clock=lambda: NOW, wire=no_wire(), replay_url=url)
    closing.push_async_callback(app.aclose)
    return await closing.enter_async_context(
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://internal.host:8080")
    )


def enrolment() -> dict[str, Any]:
    key, content = SigningKey.generate(), msgspec.json.encode({"label": "x"})
    request = Request("POST", AP + "/enroll", Fields({"content-type": "application/json"}), content)
    request = sign(request, key, HWK.of(key.public), created=int(NOW))
    return {"url": "/enroll", "content": content, "headers": list(request.headers)}


@pytest.mark.spec("#freshness-and-replay")
async def test_a_request_that_one_process_took_is_refused_by_the_other(
    needs_valkey: ValkeyServer, closing: AsyncExitStack
) -> None:
    first, second = [await provider(needs_valkey.url, closing) for _ in range(2)]
    captured = enrolment()
    assert (await first.post(**captured)).status_code == 201
    replayed = await second.post(**captured)
    assert replayed.status_code == 401
    assert replayed.headers["signature-error"] == "error=invalid_signature"
    assert "received before" in replayed.json()["detail"]
    assert (await second.post(**enrolment())).status_code == 201


@pytest.mark.spec("#freshness-and-replay", "#error-response-format")
async def test_while_the_store_is_away_every_server_answers_503_and_when_to_come_back(
    needs_valkey: ValkeyServer, tmp_path: Path, closing: AsyncExitStack
) -> None:
    with running_valkey(needs_valkey.executable, tmp_path) as server:
        agents = await provider(server.url, closing)
        cache = await open_replay_cache(server.url)
        closing.push_async_callback(cache.aclose)
        resource = World(replay=cache)
        office = await closing.enter_async_context(open_world("sqlite://", replay=cache))

        server.stop()
        over_http = await agents.post(**enrolment())
        assert (over_http.status_code, over_http.json()["error"]) == (503, "temporarily_unavailable")
        assert int(over_http.headers["retry-after"]) > 0
        assert PASSWORD not in over_http.text
        assert "signature-error" not in over_http.headers

        write = resource.signed("POST", "/events", resource.auth_token("calendar.write"), body=b"{}")
        refused = await resource.call(write)
        assert (refused.status, bool(refused.headers.get("retry-after"))) == (503, True)
        assert resource.app.calls == []
        read = resource.signed("GET", "/me", resource.person_token())
        assert (await resource.call(read)).status == 200

        app = await build_access_app(
            "sqlite://",
            AS,
            CallablePolicy(lambda facts: Allow()),
            wire=office.wire,
            clock=office.clock,
            replay=cache,
        )
        closing.push_async_callback(app.aclose)
        asked = office.signed("POST", AS + "/auth-token", office.bundle())
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=AS) as client:
            headers = [(name, value) for name, value in asked.headers if name != "host"]
            answer = await client.post("/auth-token", headers=headers, content=asked.body)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)

        assert server.start()
        assert (await agents.post(**enrolment())).status_code == 201
        assert (await resource.call(write)).status == 200


@pytest.mark.spec("#freshness-and-replay")
async def test_person_and_access_servers_share_what_they_received_by_url(
    needs_valkey: ValkeyServer, closing: AsyncExitStack
) -> None:
    policy, issuer = CallablePolicy(lambda facts: Allow()), "http://person.localhost:8000"
    apps = [
        await build_person_app("sqlite://", issuer, dev=True, wire=no_wire(), replay_url=needs_valkey.url),
        await build_access_app("sqlite://", AS, policy, wire=no_wire(), replay_url=needs_valkey.url),
    ]
    for app in apps:
        closing.push_async_callback(app.aclose)
    first, second = (app.server.replay for app in apps)
    assert await first.first_time("by url", until=NOW + 60, now=NOW)
    assert not await second.first_time("by url", until=NOW + 60, now=NOW)


OPENERS = {
    "person": lambda **how: build_person_app("sqlite://", "http://person.localhost:8000", dev=True, **how),
    "access": lambda **how: build_access_app("sqlite://", AS, CallablePolicy(lambda facts: Allow()), **how),
    "provider": lambda **how: open_provider_app("sqlite://", AP, **how),
}


@pytest.mark.parametrize("role", OPENERS)
async def test_the_end_of_the_lifespan_closes_in_the_reverse_order_of_opening(
    role: str, needs_valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []

    def noting(kind: type, method: str, name: str) -> None:
        original = getattr(kind, method)

        async def close(self: Any) -> None:
            closed.append(name)
            await original(self)

        monkeypatch.setattr(kind, method, close)

    noting(AsyncWire, "aclose", "connections")
    noting(ValkeyReplayCache, "aclose", "replays")
    noting(Database, "close", "database")
    app = await OPENERS[role](wire=no_wire(), replay_url=needs_valkey.url)
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[str] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan", "app": None, "state": {}}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert closed == ["connections", "replays", "database"]
    await app.aclose()
    assert len(closed) == 3


@pytest.mark.parametrize("role", OPENERS)
async def test_a_server_whose_store_is_away_at_the_start_does_not_start_and_leaves_nothing_open(
    role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Database] = []
    original = Database.close

    async def close(self: Database) -> None:
        closed.append(self)
        await original(self)

    monkeypatch.setattr(Database, "close", close)
    with pytest.raises(ConfigurationError, match="Start the Valkey or Redis server"):
        await OPENERS[role](replay_url=f"valkey://127.0.0.1:{free_port()}")
    assert len(closed) == 1
