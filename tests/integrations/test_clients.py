"""The client adapters, each with its real library, against both server adapters over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx2
import pytest
import requests

from aauthlib.errors import ConfigurationError
from aauthlib.httpsig import JWKSURI
from aauthlib.integrations.aiohttp import sign_requests
from aauthlib.integrations.httpx2 import SignatureAuth as HttpxAuth
from aauthlib.integrations.requests import SignatureAuth as RequestsAuth
from aauthlib.integrations.signer import Signer
from aauthlib.keys import SigningKey

from .conftest import SERVER_KEY, Serve

KEY = SigningKey.generate()


@dataclass
class Answer:
    status: int
    document: Any
    headers: dict[str, str]


def by_httpx2(signer: Signer, method: str, url: str, body: bytes | None = None) -> Answer:
    with httpx2.Client(auth=HttpxAuth(signer)) as client:
        got = client.request(method, url, content=body, headers=_typed(body))
        return Answer(got.status_code, got.json(), dict(got.headers))


def by_async_httpx2(signer: Signer, method: str, url: str, body: bytes | None = None) -> Answer:
    async def call() -> Answer:
        async with httpx2.AsyncClient(auth=HttpxAuth(signer)) as client:
            got = await client.request(method, url, content=body, headers=_typed(body))
            return Answer(got.status_code, got.json(), dict(got.headers))

    return asyncio.run(call())


def by_requests(signer: Signer, method: str, url: str, body: bytes | None = None) -> Answer:
    with requests.Session() as session:
        session.trust_env = False
        session.auth = RequestsAuth(signer)
        got = session.request(method, url, data=body, headers=_typed(body), timeout=10)
        return Answer(got.status_code, got.json(), dict(got.headers))


def by_aiohttp(signer: Signer, method: str, url: str, body: bytes | None = None) -> Answer:
    async def call() -> Answer:
        async with (
            aiohttp.ClientSession(middlewares=[sign_requests(signer)]) as session,
            session.request(method, url, data=body, headers=_typed(body)) as got,
        ):
            return Answer(got.status, await got.json(content_type=None), dict(got.headers))

    return asyncio.run(call())


def _typed(body: bytes | None) -> dict[str, str]:
    return {} if body is None else {"content-type": "text/plain"}


Call = Callable[..., Answer]
CLIENTS = pytest.mark.parametrize("call", [by_httpx2, by_async_httpx2, by_requests, by_aiohttp])
SERVERS = pytest.mark.parametrize("kind", ["asgi", "wsgi"])


@CLIENTS
@SERVERS
@pytest.mark.spec("#signing-agent", "#verification")
def test_every_request_is_signed_and_verified_with_its_body(serve: Serve, call: Call, kind: str) -> None:
    origin = serve(kind)
    signer = Signer(KEY)
    read = call(signer, "GET", f"{origin}/a?x=1")
    assert (read.status, read.document["who"]) == (200, {"key": KEY.thumbprint, "covers_body": False})
    for body in (b"hello", b"\x00\xff" * 20_000):
        written = call(signer, "POST", f"{origin}/a", body)
        assert (written.status, written.document["who"]) == (200, {"key": KEY.thumbprint, "covers_body": True})
        assert written.document["body"].encode("latin-1") == body


@CLIENTS
@SERVERS
@pytest.mark.spec("#covered-components")
@pytest.mark.parametrize("target", ["/", "/caf%C3%A9/a%20b", "/a;b=c/~d", "/x?q=a+b&c=%2F", "/a?", "/a//b"])
def test_the_target_is_signed_as_it_goes_over_the_wire(serve: Serve, call: Call, kind: str, target: str) -> None:
    assert call(Signer(KEY, components=("@query",)), "GET", serve(kind) + target).status == 200


@CLIENTS
@pytest.mark.spec("signature-key#3.6")
def test_a_server_signs_by_the_key_it_publishes(serve: Serve, call: Call) -> None:
    origin = serve("asgi")
    published = Signer(SERVER_KEY, JWKSURI("https://client.example", "aauth-agent.json", "s1"))
    assert call(published, "GET", origin + "/").document["who"]["key"] == SERVER_KEY.thumbprint
    unknown = call(Signer(KEY, JWKSURI("https://other.example", "aauth-agent.json", "s1")), "GET", origin + "/")
    assert (unknown.status, unknown.headers["signature-error"]) == (401, "error=unknown_key")


@CLIENTS
def test_what_is_presented_may_be_decided_for_each_request(serve: Serve, call: Call) -> None:
    asked: list[int] = []

    def present() -> JWKSURI:
        asked.append(1)
        return JWKSURI("https://client.example", "aauth-agent.json", "s1")

    origin = serve("asgi")
    for count in (1, 2):
        assert call(Signer(SERVER_KEY, present), "GET", origin + "/").status == 200
        assert len(asked) == count


@CLIENTS
@pytest.mark.spec("#signature-algorithms")
@pytest.mark.parametrize("alg", ["ES256", "Ed448", "RS256"])
def test_any_algorithm_the_server_accepts_will_do(serve: Serve, call: Call, alg: str) -> None:
    key = SigningKey.generate(alg)
    assert call(Signer(key), "POST", serve("asgi") + "/", b"x").document["who"]["key"] == key.thumbprint


@CLIENTS
@SERVERS
@pytest.mark.spec("#covered-components")
def test_a_body_left_uncovered_is_refused_where_it_must_be_covered(serve: Serve, call: Call, kind: str) -> None:
    refused = call(Signer(KEY, cover_body=False), "POST", serve(kind) + "/", b"x")
    assert refused.status == 401
    assert "invalid_input" in {name.lower(): value for name, value in refused.headers.items()}["signature-error"]


def test_a_streamed_body_is_refused_before_it_is_sent() -> None:
    with requests.Session() as session:
        session.trust_env = False
        with pytest.raises(ConfigurationError, match="streamed"):
            session.post("http://127.0.0.1:9/", data=iter([b"a"]), auth=RequestsAuth(Signer(KEY)))


@pytest.mark.spec("#covered-components")
def test_a_followed_redirect_is_signed_anew_by_aiohttp_and_refused_from_the_others(serve: Serve) -> None:
    origin, other = serve("asgi"), serve("asgi")
    moved = f"{origin}/moved?{other}/elsewhere"
    with httpx2.Client(auth=HttpxAuth(Signer(KEY)), follow_redirects=True) as client:
        assert client.get(moved).status_code == 401
    assert by_requests(Signer(KEY), "GET", moved).status == 401
    assert by_aiohttp(Signer(KEY), "GET", moved).status == 200


def test_a_signer_shows_no_key() -> None:
    assert "d=" not in repr(Signer(KEY))
    assert KEY.to_private_jwk()["d"] not in repr(Signer(KEY))
