"""The agent provider over ASGI, as a client and a browser see it."""

from __future__ import annotations

import asyncio
import hashlib
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aauthlib.discovery import StaticDirectory
from aauthlib.effects import Send
from aauthlib.http import Fields, Request, Response
from aauthlib.httpsig import HWK, sign
from aauthlib.keys import JWKS, SigningKey
from aauthlib.messages.metadata import AgentProviderMetadata, read_metadata
from aauthlib.provider import AgentProvider
from aauthlib.store.database import Database
from aauthlib.store.provider import SQLProviderStore
from aauthlib.transport import AsyncWire
from aauthlib.web.provider import build_provider_app

AP = "https://ap.example"
NOW = 1_800_000_000


class Nowhere:
    """A network that is not used."""

    async def send(self, effect: Send) -> Response:
        raise AssertionError(f"nothing should be called, but {effect.request.url} was")


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    database = await Database.open(f"sqlite:///{tmp_path}/ap.db")
    provider = AgentProvider(
        AP,
        store=SQLProviderStore(database),
        wire=AsyncWire(Nowhere(), StaticDirectory()),
        clock=lambda: float(NOW),
        metadata=AgentProviderMetadata(issuer=AP, name="Ex<b>ample</b>"),
    )
    transport = httpx2.ASGITransport(app=build_provider_app(provider))
    async with httpx2.AsyncClient(transport=transport, base_url="http://internal.host:8080") as opened:
        yield opened
    await database.close()


def signed(path: str, body: object, key: SigningKey) -> dict[str, Any]:
    """Signed for the provider's own name, whatever host it is reached at."""
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    request = Request("POST", AP + path, Fields({"content-type": "application/json"}), content)
    request = sign(request, key, HWK.of(key.public), created=NOW)
    return {"url": path, "content": content, "headers": list(request.headers)}


@pytest.mark.spec("#agent-provider-metadata", "#jwks-discovery")
async def test_the_documents_can_be_fetched_by_anyone(client: httpx2.AsyncClient) -> None:
    metadata = await client.get("/.well-known/aauth-agent.json")
    read = read_metadata(AgentProviderMetadata, metadata.json(), issuer=AP)
    assert read.jwks_uri is not None
    jwks = await client.get(read.jwks_uri.removeprefix(AP))
    assert len(JWKS.parse(jwks.json()).members) == 1
    for response in (metadata, jwks):
        assert response.headers["content-type"] == "application/json"
        assert response.headers["access-control-allow-origin"] == "*"
        assert response.headers["cache-control"] == "public, max-age=300"


@pytest.mark.spec("#agent-token-acquisition-overview", "#covered-components")
async def test_an_agent_enrols_and_refreshes_behind_a_proxy(client: httpx2.AsyncClient) -> None:
    key = SigningKey.generate()
    enrolled = await client.post(**signed("/enroll", {"label": "x"}, key))
    assert enrolled.status_code == 201
    refreshed = await client.post(**signed("/refresh", {}, key))
    assert refreshed.status_code == 200
    assert refreshed.json()["agent"] == enrolled.json()["agent"]


@pytest.mark.spec("#authentication-errors")
async def test_an_unsigned_request_is_answered_with_signature_error(client: httpx2.AsyncClient) -> None:
    for path in ("/enroll", "/refresh", "/subagent"):
        response = await client.post(path, json={})
        assert response.status_code == 401
        assert response.headers["signature-error"] == "error=invalid_signature"
        assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.spec("#scheme-rejection")
async def test_a_scheme_that_is_not_taken_is_answered_with_those_that_are(client: httpx2.AsyncClient) -> None:
    response = await client.post(**signed("/subagent", {}, SigningKey.generate()))
    assert response.status_code == 401
    assert response.headers["signature-error"] == "error=unsupported_scheme"
    assert response.headers["accept-signature-scheme"] == "jwt"


@pytest.mark.spec("signature-key#5.3", "#error-response-format")
async def test_an_unknown_enrolment_is_a_403_without_signature_headers(client: httpx2.AsyncClient) -> None:
    response = await client.post(**signed("/refresh", {}, SigningKey.generate()))
    assert response.status_code == 403
    assert response.json()["error"] == "enrollment_unknown"
    assert "signature-error" not in response.headers


@pytest.mark.spec("#error-responses")
async def test_wrong_paths_and_methods_are_answered_as_problems(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/nothing")).status_code == 404
    assert (await client.get("/enroll/")).status_code == 404
    response = await client.get("/enroll")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"


@pytest.mark.spec("#untrusted-input")
async def test_a_body_that_is_too_large_is_refused(client: httpx2.AsyncClient) -> None:
    response = await client.post("/enroll", content=b"x" * 300_000, headers={"content-type": "application/json"})
    assert response.status_code == 413


async def test_the_index_page_explains_and_tells_nothing_of_the_agents(client: httpx2.AsyncClient) -> None:
    empty = (await client.get("/")).text
    enrolled = await client.post(**signed("/enroll", {"label": "secret-label"}, SigningKey.generate()))
    page = await client.get("/")
    assert page.text == empty
    assert enrolled.json()["agent"] not in page.text
    assert AP in page.text
    assert "Ex&lt;b&gt;ample&lt;/b&gt;" in page.text
    assert "<b>" not in page.text


@pytest.mark.spec("#user-interaction", "#interaction-callback-errors")
@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "return to your agent"),
        ("?error=access_denied", "Nothing was approved"),
        ("?error=interaction_expired", "ask again"),
        ("?error=", "ask again"),
        ("?error=<script>alert(1)</script>", "ask again"),
        ("?" + "&".join(f"a{n}=1" for n in range(50)), "ask again"),
        ("?error=%ff%fe", "ask again"),
    ],
)
async def test_the_callback_page_sends_the_person_back(client: httpx2.AsyncClient, query: str, says: str) -> None:
    response = await client.get("/callback" + query)
    assert response.status_code == 200
    assert says in response.text
    assert "script" not in response.text


async def test_the_pages_run_no_script_and_cannot_be_framed(client: httpx2.AsyncClient) -> None:
    for path in ("/", "/callback"):
        response = await client.get(path)
        policy = response.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        (style,) = re.findall("<style>(.*?)</style>", response.text)
        digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"


async def test_lifespan_and_websockets_are_answered(tmp_path: Path) -> None:
    sent: list[Any] = []
    received = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    database = await Database.open(f"sqlite:///{tmp_path}/ap.db")
    wire = AsyncWire(Nowhere(), StaticDirectory())
    provider = AgentProvider(AP, store=SQLProviderStore(database), wire=wire, clock=lambda: 0.0)
    app = build_provider_app(provider, on_shutdown=database.close)

    async def receive() -> Any:
        return next(received)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    await app({"type": "websocket", "path": "/"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]


@pytest.mark.spec("#revocation-cascade")
async def test_the_app_tells_person_servers_of_revocations_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, sent = asyncio.Event(), []
    database = await Database.open(f"sqlite:///{tmp_path}/ap.db")
    provider = AgentProvider(
        AP, store=SQLProviderStore(database), wire=AsyncWire(Nowhere(), StaticDirectory()), clock=lambda: 0.0
    )

    async def tell_again() -> int:
        told.set()
        return 0

    monkeypatch.setattr(provider, "tell_again", tell_again)
    app = build_provider_app(provider, on_shutdown=database.close)

    async def receive() -> Any:
        if not sent:
            return {"type": "lifespan.startup"}
        await asyncio.wait_for(told.wait(), 10)
        return {"type": "lifespan.shutdown"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


_HEADER_VALUES = st.one_of(
    st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=60),
    st.sampled_from(['sig=hwk;kty="OKP"', "sig=:AAAA:", 'sig=("@method");created=1', 'sig=jwt;jwt="a.b.c"', "sig"]),
)


@pytest.mark.spec("#untrusted-input", "#error-responses")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    path=st.sampled_from(["/enroll", "/refresh", "/subagent"]),
    headers=st.dictionaries(
        st.sampled_from(["signature", "signature-input", "signature-key", "content-digest", "content-type"]),
        _HEADER_VALUES,
    ),
    body=st.binary(max_size=80),
)
async def test_no_request_makes_the_provider_fail(
    client: httpx2.AsyncClient, path: str, headers: dict[str, str], body: bytes
) -> None:
    response = await client.post(path, content=body, headers=headers)
    assert 400 <= response.status_code < 500
    assert response.json()["error"]


@pytest.mark.spec("#untrusted-input", "#error-responses")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    path=st.sampled_from(["/enroll", "/refresh"]),
    body=st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["ps", "label", "invitation", "x"]), inner, max_size=3)
            ),
            max_leaves=6,
        ),
    ),
)
async def test_no_signed_body_makes_the_provider_fail(client: httpx2.AsyncClient, path: str, body: object) -> None:
    response = await client.post(**signed(path, body, SigningKey.generate()))
    assert response.status_code in (200, 201, 400, 403, 429)
