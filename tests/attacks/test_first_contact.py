"""Promise 1: first contact works, and only with who it claims to be. Discovery is what an attacker aims at here."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import httpcore2
import pytest

from aauthlib.base64url import b64url_encode
from aauthlib.discovery import Directory
from aauthlib.http import Fields, Response, json_response
from aauthlib.httpsig import JWKSURI
from aauthlib.jws import parse
from aauthlib.keys import JWKS, SigningKey
from aauthlib.resource import MemoryResourceStore, Policy, Resource, Route, identified
from aauthlib.tokens import issue_agent_token
from aauthlib.transport import AsyncTransport, AsyncWire
from aauthlib.web.resource import AAuthMiddleware
from tests.resource.world import App, call

from .world import AP, CALENDAR, EVIL_AP, GONE, PS, Agent, City, error_code

pytestmark = pytest.mark.asyncio(loop_scope="module")


def stranger(
    city: City, issuer: str, *, sub: str | None = None, key: SigningKey | None = None, **changes: Any
) -> Agent:
    """An agent whose provider is `issuer`, by its own account."""
    agent_key = SigningKey.generate()
    token = issue_agent_token(
        key or city.evil,
        iss=issuer,
        sub=sub or f"aauth:a@{issuer.partition('://')[2]}",
        cnf=agent_key.public,
        jti=secrets.token_hex(8),
        now=city.clock(),
        **changes,
    )
    return Agent(city, agent_key, token)


async def introduce(agent: Agent) -> Response:
    return await agent.call("GET", f"{CALENDAR}/agent")


def new_issuer() -> str:
    return f"https://i{secrets.token_hex(6)}.example"


# ------------------------------------------------------------------------- documents that lie


async def test_a_stranger_with_honest_documents_is_served(city: City) -> None:
    issuer = new_issuer()
    city.network.publish(issuer, "aauth-agent.json", city.evil)
    assert (await introduce(stranger(city, issuer))).status == 200


@pytest.mark.parametrize(
    ("claimed", "code"),
    [
        (AP, "issuer_mismatch"),
        (GONE, "issuer_missing"),
        (None, "issuer_mismatch"),
        ("{issuer}/", "issuer_mismatch"),
        ("{ISSUER}", "issuer_mismatch"),
        ("{issuer}:443", "issuer_mismatch"),
        (["{issuer}"], "issuer_mismatch"),
    ],
)
@pytest.mark.spec("#metadata-documents")
async def test_metadata_that_claims_another_issuer_is_refused(city: City, claimed: Any, code: str) -> None:
    issuer = new_issuer()
    city.network.publish(issuer, "aauth-agent.json", city.evil)
    document: dict[str, Any] = {"jwks_uri": f"{issuer}/jwks.json"}
    if isinstance(claimed, str):
        claimed = claimed.format(issuer=issuer, ISSUER=issuer.upper())
    if claimed is not GONE:
        document["issuer"] = claimed
    city.network.documents[f"{issuer}/.well-known/aauth-agent.json"] = json_response(200, document)
    answer = await introduce(stranger(city, issuer))
    assert (answer.status, error_code(answer)) == (401, code)
    assert f"{issuer}/jwks.json" not in city.network.asked


@pytest.mark.parametrize(
    "jwks_uri",
    [
        f"{AP}/.well-known/jwks.json",
        "http://{host}/jwks.json",
        "https://127.0.0.1/jwks.json",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/jwks.json",
        "https://localhost/jwks.json",
        "https://{host}@internal.example/jwks.json",
        "https://{host}.internal.example/jwks.json",
        "https://internal.example/{host}/jwks.json",
        "https://internal.example\\@{host}/jwks.json",
        "https://{host}#@internal.example/jwks.json",
        "https://{host}\r\nX: y/jwks.json",
        "file:///etc/passwd",
        "//{host}/jwks.json",
        "/jwks.json",
    ],
)
@pytest.mark.spec("#jwks-discovery", "#endpoint-and-other-urls")
async def test_a_jwks_uri_on_another_host_is_not_fetched(city: City, jwks_uri: str) -> None:
    issuer = new_issuer()
    url = jwks_uri.format(host=issuer.partition("://")[2])
    document = {"issuer": issuer, "jwks_uri": url}
    city.network.documents[f"{issuer}/.well-known/aauth-agent.json"] = json_response(200, document)
    city.network.documents[url] = json_response(200, JWKS.of(city.evil).to_document())
    before = len(city.network.asked)
    answer = await introduce(stranger(city, issuer))
    assert (answer.status, error_code(answer)) == (401, "unknown_key")
    assert city.network.asked[before:] == [f"{issuer}/.well-known/aauth-agent.json"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("what", ["metadata", "keys"])
@pytest.mark.spec("#jwks-discovery")
async def test_discovery_follows_no_redirect(city: City, status: int, what: str) -> None:
    issuer = new_issuer()
    city.network.publish(issuer, "aauth-agent.json", city.evil)
    moved = "/.well-known/aauth-agent.json" if what == "metadata" else "/jwks.json"
    target = f"{EVIL_AP}{moved}"
    city.network.documents[issuer + moved] = Response(status, Fields({"location": target}), b"{}")
    before = len(city.network.asked)
    answer = await introduce(stranger(city, issuer))
    assert (answer.status, error_code(answer)) == (401, "unknown_key")
    assert target not in city.network.asked[before:]


@pytest.mark.spec("#jwks-discovery")
async def test_many_forged_kids_of_one_issuer_cause_one_look(city: City) -> None:
    honest = await city.newcomer()
    assert (await introduce(honest)).status == 200
    before = len(city.network.asked)
    for number in range(20):
        token = city.forged(honest.token, city.evil, header={"kid": f"kid-{number}"})
        answer = await honest.call("GET", f"{CALENDAR}/agent", shown=token)
        assert (answer.status, error_code(answer)) == (401, "unknown_key")
    assert len(city.network.asked[before:]) <= 2


# ------------------------------------------------------------------------- tokens that name somebody else


@pytest.mark.spec("#agent-token-verification", "#common-verification")
async def test_a_token_in_anothers_name_is_refused(city: City) -> None:
    honest = await city.newcomer()
    kid = parse(honest.token).header["kid"]
    mallory = SigningKey.generate()
    cnf = {"jwk": mallory.public.to_jwk()}
    for claims, header, code in (
        # The provider's kid over the attacker's signature, and the attacker's own kid.
        ({}, {}, "invalid_jwt"),
        ({}, {"kid": city.evil.kid}, "unknown_key"),
        # The attacker's issuer with the provider's kid, and with an identifier of the provider's.
        ({"iss": EVIL_AP}, {"kid": kid}, "invalid_jwt"),
        ({"iss": EVIL_AP}, {"kid": city.evil.kid}, "invalid_jwt"),
        ({"iss": EVIL_AP, "sub": "aauth:a@evil-agents.example"}, {"kid": kid}, "unknown_key"),
    ):
        token = city.forged(honest.token, city.evil, header=header, cnf=cnf, **claims)
        answer = await Agent(city, mallory, token).call("GET", f"{CALENDAR}/agent")
        assert (answer.status, error_code(answer)) == (401, code), (claims, header)


@pytest.mark.parametrize(
    "sub",
    [
        "aauth:a@agents.example",
        "aauth:a@evil-agents.example@agents.example",
        "aauth:a@sub.evil-agents.example",
        "aauth:a@evil-agents.example.",
        "aauth:a@EVIL-agents.example",
        "aauth:a@evil-agents.example/agents.example",
        "aauth:@evil-agents.example",
        "a@evil-agents.example",
        "aauth:ä@evil-agents.example",
    ],
)
@pytest.mark.spec("#agent-identifiers")
async def test_a_provider_names_only_agents_of_its_own(city: City, sub: str) -> None:
    token = city.forged(city.evil_agent().token, city.evil, sub=sub, cnf={"jwk": city.thief.public.to_jwk()})
    for origin, path in ((CALENDAR, "/agent"), (PS, "/person-token")):
        method, body = ("GET", None) if origin == CALENDAR else ("POST", {"resource": CALENDAR})
        answer = await Agent(city, city.thief, token).call(method, origin + path, body)
        assert (answer.status, error_code(answer)) == (401, "invalid_jwt")


@pytest.mark.parametrize("parameter", ["jku", "x5u", "jwk", "x5c", "jwks"])
@pytest.mark.spec("#common-verification")
async def test_a_token_cannot_bring_its_own_key(city: City, parameter: str) -> None:
    honest = await city.newcomer()
    values: dict[str, Any] = {
        "jku": f"{EVIL_AP}/jwks.json",
        "x5u": f"{EVIL_AP}/cert.pem",
        "jwk": city.evil.public.to_jwk(),
        "x5c": ["MIIB"],
        "jwks": JWKS.of(city.evil).to_document(),
    }
    token = city.forged(
        honest.token,
        city.evil,
        header={parameter: values[parameter]},
        cnf={"jwk": city.thief.public.to_jwk()},
    )
    before = len(city.network.asked)
    answer = await Agent(city, city.thief, token).call("GET", f"{CALENDAR}/agent")
    assert answer.status == 401
    assert not [url for url in city.network.asked[before:] if url.startswith(EVIL_AP)]


@pytest.mark.parametrize(
    "issuer",
    [
        "https://Agents.example",
        "https://agents.example/",
        "https://agents.example:443",
        "https://agents.example.",
        "http://agents.example",
        "https://agents.example?x",
        "https://agents.example#x",
        "https://x@agents.example",
        "https://agents.example/../evil",
        "https://127.0.0.1",
        "https://2130706433",
        "https://0x7f000001",
        "https://[::1]",
        "https://localhost",
        "https://a.localhost",
        "https://аgents.example",
        "https://agents.example\x00",
        "https://agents.example\r\n",
        "",
        "https://",
        "https://" + "a" * 300,
        "aauth:agents.example",
    ],
)
@pytest.mark.spec("#server-identifiers")
async def test_nothing_is_asked_of_an_issuer_that_is_no_server(city: City, issuer: str) -> None:
    base = city.evil_agent().token
    token = city.forged(base, city.evil, iss=issuer, cnf={"jwk": city.thief.public.to_jwk()})
    before = len(city.network.asked)
    answer = await Agent(city, city.thief, token).call("GET", f"{CALENDAR}/agent")
    assert (answer.status, error_code(answer)) == (401, "invalid_jwt")
    assert city.network.asked[before:] == []
    shown = JWKSURI(issuer or "x", "aauth-agent.json", city.thief.kid)
    if issuer.isascii() and issuer.isprintable():
        answer = await city.send(city.signed("GET", f"{CALENDAR}/agent", city.thief, shown))
        assert answer.status == 401
        assert city.network.asked[before:] == []


# ------------------------------------------------------------------------- where the connection goes


class Sockets:
    """A network that notes where it was told to connect, and connects nowhere."""

    def __init__(self) -> None:
        self.connected: list[str] = []

    async def connect_tcp(self, host: str, *rest: Any) -> Any:
        self.connected.append(host)
        raise httpcore2.ConnectError("not here")


def resource_on_the_internet(city: City, resolver: Callable[[str, int], list[str]], sockets: Sockets) -> App:
    transport = AsyncTransport(resolver=resolver, network=sockets)  # type: ignore[arg-type]
    resource = Resource(
        issuer=CALENDAR,
        wire=AsyncWire(transport, Directory(clock=city.clock)),
        store=MemoryResourceStore(city.clock),
        clock=city.clock,
    )
    return AAuthMiddleware(App(), resource, Policy([Route("GET", "/agent", identified())]))  # type: ignore[return-value]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
@pytest.mark.spec("#jwks-discovery")
async def test_an_issuer_whose_name_stands_for_a_private_address_is_not_called(city: City, address: str) -> None:
    sockets = Sockets()
    app = resource_on_the_internet(city, lambda host, port: ["8.8.8.8", address], sockets)
    agent = stranger(city, new_issuer())
    answer = await call(app, city.signed("GET", f"{CALENDAR}/agent", agent.key, agent.token))
    assert (answer.status, error_code(answer)) == (401, "unknown_key")
    assert sockets.connected == []
    assert address.encode() not in answer.body  # the caller learns nothing about the network inside


@pytest.mark.spec("#jwks-discovery")
async def test_dns_that_changes_its_mind_does_not_move_the_connection(city: City) -> None:
    answers = iter([["8.8.8.8"], ["127.0.0.1"], ["127.0.0.1"]])
    sockets = Sockets()
    app = resource_on_the_internet(city, lambda host, port: next(answers), sockets)
    agent = stranger(city, new_issuer())
    answer = await call(app, city.signed("GET", f"{CALENDAR}/agent", agent.key, agent.token))
    assert (answer.status, error_code(answer)) == (401, "unknown_key")
    assert sockets.connected == ["8.8.8.8"]


@pytest.mark.spec("#jwks-discovery")
async def test_many_strangers_at_once_cause_bounded_looks_at_one_issuer(city: City) -> None:
    """A crowd with one made-up issuer is one look, not an amplifier."""
    issuer = new_issuer()
    agents = [stranger(city, issuer) for _ in range(25)]
    before = len(city.network.asked)
    answers = await asyncio.gather(*(introduce(agent) for agent in agents))
    assert {answer.status for answer in answers} == {401}
    assert len(city.network.asked[before:]) == 1


@pytest.mark.spec("#verification")
async def test_a_request_that_would_be_refused_anyway_causes_no_look(city: City) -> None:
    """Size, freshness, coverage, `typ`, `exp` and `aud` cost nothing to check; the issuer is not asked before."""
    issuer = new_issuer()
    agent = stranger(city, issuer)
    url = f"{CALENDAR}/agent"
    stale = city.signed("GET", url, agent.key, agent.token, created=city.clock() - 300)
    future = city.signed("GET", url, agent.key, agent.token, created=city.clock() + 300)
    expired = city.forged(agent.token, city.evil, exp=int(city.clock()) - 1)
    typed = city.forged(agent.token, city.evil, header={"typ": "JWT"})
    thin = city.signed("GET", url, agent.key, agent.token)
    inputs = (thin.headers.get("signature-input") or "").replace(' "@path"', "")
    before = len(city.network.asked)
    for request in (
        stale,
        future,
        city.signed("GET", url, agent.key, expired),
        city.signed("GET", url, agent.key, typed),
        thin.with_headers(signature_input=inputs),
        thin.with_headers(signature_key=f'sig=jwt;jwt="{"a" * 20_000}"'),
        thin.with_headers(signature_key=f'sig=jwt;jwt="{agent.token}{b64url_encode(b"x" * 13_000)}"'),
    ):
        assert (await city.send(request)).status == 401
    assert city.network.asked[before:] == []
