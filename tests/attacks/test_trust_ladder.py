"""Promise 5: progressive trust. A rung is reached by proving it, not by what looks like a proof, or by a lie."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
import pytest_asyncio

from aauthlib import jws
from aauthlib.base64url import b64url_decode, b64url_encode
from aauthlib.http import Request, Response
from aauthlib.httpsig import HWK, JKTJWT, JWKSURI, JWT
from aauthlib.jws import parse
from aauthlib.keys import SigningKey
from aauthlib.tokens import issue_jkt_jwt

from .world import (
    AP,
    CALENDAR,
    EVIL_AP,
    GONE,
    MAIL,
    PS,
    Agent,
    AgentToken,
    AuthToken,
    City,
    PersonToken,
    error_code,
    requirement,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

DOORS = ("/hello", "/agent", "/me", "/events")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def honest(city: City) -> tuple[Agent, dict[Any, str]]:
    agent = await city.newcomer()
    person = await agent.person_token()
    auth = await agent.auth_token(person, "calendar.read")
    return agent, {AgentToken: agent.token, PersonToken: person, AuthToken: auth}


Honest = tuple[Agent, dict[Any, str]]
KINDS = pytest.mark.parametrize("kind", [AgentToken, PersonToken, AuthToken], ids=lambda kind: kind.typ)
DOOR = {AgentToken: "/agent", PersonToken: "/me", AuthToken: "/events"}


def issuer_key(city: City, kind: Any, claims: dict[str, Any]) -> tuple[SigningKey, dict[str, Any], dict[str, Any]]:
    """A key the attacker may sign with, since it is published by a party of theirs, and the claims that name it."""
    issuer, dwk = (
        (EVIL_AP, "aauth-agent.json") if kind is AgentToken else ("https://evil-person.example", "aauth-person.json")
    )
    own: dict[str, Any] = {"iss": issuer, "dwk": dwk}
    if kind is AgentToken:
        own["sub"] = "aauth:a@evil-agents.example"
    if kind is AuthToken:
        own["ps"] = issuer
    return city.evil, {"kid": city.evil.kid}, {**own, **claims}


async def show(city: City, key: SigningKey, token: str, door: str) -> Response:
    return await city.send(city.signed("GET", CALENDAR + door, key, token))


# ------------------------------------------------------------------------- rungs


@pytest.mark.spec("#requirement-values", "#person-token-not-authorization")
async def test_every_credential_opens_its_own_door_and_those_below_and_none_above(city: City, honest: Honest) -> None:
    agent, tokens = honest
    asked = {"/hello": "pseudonym", "/agent": "agent-token", "/me": "person-token", "/events": "auth-token"}
    credentials: list[tuple[str, Any]] = [
        ("nothing", None),
        ("key", HWK.of(agent.key.public)),
        ("agent", JWT(tokens[AgentToken])),
        ("person", JWT(tokens[PersonToken])),
        ("auth", JWT(tokens[AuthToken])),
    ]
    for rung, (name, shown) in enumerate(credentials):
        for height, door in enumerate(DOORS, start=1):
            if shown is None:
                answer = await city.send(Request("GET", CALENDAR + door))
            else:
                answer = await city.send(city.signed("GET", CALENDAR + door, agent.key, shown))
            if rung >= height:
                assert answer.status == 200, (name, door)
            else:
                assert answer.status == 401, (name, door)
                wanted = asked[door] if door != "/events" or name == "person" else "person-token"
                assert requirement(answer).value == wanted, (name, door)


@pytest.mark.spec("#person-token-not-authorization")
async def test_a_person_token_is_not_an_auth_token_whatever_it_says(city: City, honest: Honest) -> None:
    agent, tokens = honest
    key, header, claims = issuer_key(city, PersonToken, {"scope": "calendar.read", "ps": "https://evil-person.example"})
    cnf = {"jwk": agent.key.public.to_jwk()}
    text = city.forged(tokens[PersonToken], key, header=header, **claims, cnf=cnf)
    answer = await show(city, agent.key, text, "/events")
    assert (answer.status, error_code(answer)) == (401, "invalid_jwt")


@pytest.mark.spec("#keying-material")
async def test_a_server_is_not_a_person(city: City) -> None:
    shown = JWKSURI(EVIL_AP, "aauth-agent.json", city.evil.kid)
    for door, status in (("/hello", 200), ("/agent", 200), ("/me", 401), ("/events", 401), ("/managed", 401)):
        assert (await city.send(city.signed("GET", CALENDAR + door, city.evil, shown))).status == status
    for kid, key in ((city.evil.kid, city.thief), ("another", city.evil)):
        shown = JWKSURI(EVIL_AP, "aauth-agent.json", kid)
        assert (await city.send(city.signed("GET", f"{CALENDAR}/agent", key, shown))).status == 401
    for dwk in ("openid-configuration", "../evil", "aauth-resource.json"):
        shown = JWKSURI(EVIL_AP, dwk, city.evil.kid)
        assert (await city.send(city.signed("GET", f"{CALENDAR}/agent", city.evil, shown))).status == 401


# ------------------------------------------------------------------------- typ


@KINDS
@pytest.mark.parametrize(
    "typ",
    [
        GONE,
        "JWT",
        "at+jwt",
        "aa-auth+jwt ",
        "AA-AUTH+JWT",
        "application/aa-auth+jwt",
        "aa-resource+jwt",
        "jkt-s256+jwt",
        None,
        ["aa-auth+jwt"],
        {"aa-auth+jwt": 1},
        1,
    ],
    ids=str,
)
@pytest.mark.spec("#common-verification")
async def test_a_token_of_another_type_is_refused(city: City, honest: Honest, kind: Any, typ: Any) -> None:
    agent, tokens = honest
    key, header, claims = issuer_key(city, kind, {"cnf": {"jwk": agent.key.public.to_jwk()}})
    genuine = city.forged(tokens[kind], key, header=header, **claims)
    assert (await show(city, agent.key, genuine, DOOR[kind])).status == 200
    text = city.forged(tokens[kind], key, header={**header, "typ": typ}, **claims)
    answer = await show(city, agent.key, text, DOOR[kind])
    assert (answer.status, error_code(answer)) == (401, "invalid_jwt")


# ------------------------------------------------------------------------- alg, crit, kid


def _assembled(header: dict[str, Any], payload: dict[str, Any], mac: bytes | None = None) -> str:
    parts = [b64url_encode(json.dumps(part).encode()) for part in (header, payload)]
    text = ".".join(parts)
    if mac is None:
        return f"{text}."
    return f"{text}.{b64url_encode(hmac.new(mac, text.encode(), hashlib.sha256).digest())}"


@KINDS
@pytest.mark.spec("#common-claims", "#signature-algorithms")
async def test_no_algorithm_but_the_keys_own_is_accepted(city: City, honest: Honest, kind: Any) -> None:
    agent, tokens = honest
    genuine = parse(tokens[kind])
    thief = {"jwk": city.thief.public.to_jwk()}
    payload = {**genuine.payload, "cnf": thief}
    issuer = AP if kind is AgentToken else PS
    document = "jwks.json" if kind is AgentToken else "aauth-person-jwks.json"
    published = (await city.send(Request("GET", f"{issuer}/.well-known/{document}"))).json()["keys"][0]
    secrets_to_try = [
        published["x"].encode(),
        json.dumps(published).encode(),
        json.dumps(published, separators=(",", ":")).encode(),
        b64url_decode(published["x"]),
        b"",
    ]
    forgeries = [_assembled({**genuine.header, "alg": alg}, payload) for alg in ("none", "None", "NONE", "nOnE", "")]
    for alg in ("HS256", "hs256", "EdDSA", "Ed25519", "ES256", "RS256", "PS256"):
        forgeries += [_assembled({**genuine.header, "alg": alg}, payload, mac) for mac in secrets_to_try]
    header, body, signature = tokens[kind].split(".")
    forgeries += [
        f"{header}.{body}.",
        f"{header}.{body}",
        f"{header}.{body}.{signature}.{signature}",
        f"{header}.{b64url_encode(json.dumps(payload).encode())}.{signature}",
        f"{header}.{body}.{signature[:-4]}AAAA",
        f"{header}.{body}.{b64url_encode(bytes(64))}",
        f"{b64url_encode(json.dumps({**genuine.header, 'alg': 'EdDSA'}).encode())}.{body}.{signature}",
    ]
    for text in forgeries:
        for key in (city.thief, agent.key):
            answer = await show(city, key, text, DOOR[kind])
            assert answer.status == 401, text[:60]
            assert error_code(answer) in ("invalid_jwt", "unsupported_algorithm", "invalid_signature"), error_code(
                answer
            )


@KINDS
@pytest.mark.parametrize("alg", ["EdDSA", "none", "HS256", "ES256", "Ed448", GONE, "ed25519", "Ed25519 "])
@pytest.mark.spec("#signature-algorithms", "#common-claims")
async def test_the_issuers_own_signature_under_another_algorithms_name_is_refused(
    city: City, honest: Honest, kind: Any, alg: Any
) -> None:
    agent, tokens = honest
    key, header, claims = issuer_key(city, kind, {"cnf": {"jwk": agent.key.public.to_jwk()}})
    text = city.forged(tokens[kind], key, header={**header, "alg": alg} if alg is not GONE else header, **claims)
    if alg is GONE:
        genuine = parse(text)
        without = {name: value for name, value in genuine.header.items() if name != "alg"}
        signing_input = ".".join(b64url_encode(json.dumps(part).encode()) for part in (without, dict(genuine.payload)))
        text = f"{signing_input}.{b64url_encode(key.sign(signing_input.encode()))}"
    answer = await show(city, agent.key, text, DOOR[kind])
    assert answer.status == 401
    assert error_code(answer) in ("invalid_jwt", "unsupported_algorithm")


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"]},
        {"crit": []},
        {"crit": ["b64"], "b64": False},
        {"crit": None},
        {"kid": GONE},
        {"kid": ""},
        {"kid": 7},
        {"kid": None},
        {"kid": "x" * 10_000},
        {"kid": "../../etc/passwd"},
        {"kid": "' OR 1=1 --"},
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.spec("#common-verification")
async def test_a_token_with_a_critical_or_odd_header_is_refused(
    city: City, honest: Honest, header: dict[str, Any]
) -> None:
    agent, tokens = honest
    key, own, claims = issuer_key(city, AgentToken, {"cnf": {"jwk": agent.key.public.to_jwk()}})
    text = city.forged(tokens[AgentToken], key, header={**own, **header}, **claims)
    answer = await show(city, agent.key, text, "/agent")
    assert answer.status == 401
    assert error_code(answer) in ("invalid_jwt", "unknown_key")


@KINDS
@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"exp": 1_799_999_999}, "expired_jwt"),
        ({"exp": 1_800_000_000}, "expired_jwt"),
        ({"exp": "1800003600"}, "invalid_jwt"),
        ({"exp": True}, "invalid_jwt"),
        ({"exp": GONE}, "invalid_jwt"),
        ({"exp": 10**40}, "invalid_jwt"),
        ({"exp": -1}, "invalid_jwt"),
        ({"iat": 1_800_000_600}, "clock_skew"),
        ({"iat": GONE}, "invalid_jwt"),
        ({"iat": None}, "invalid_jwt"),
        ({"cnf": GONE}, "invalid_jwt"),
        ({"cnf": {}}, "invalid_jwt"),
        ({"cnf": {"jwk": {}}}, "invalid_jwt"),
        ({"cnf": {"jkt": "x"}}, "invalid_jwt"),
        ({"cnf": {"jwk": []}}, "invalid_jwt"),
        ({"cnf": "jwk"}, "invalid_jwt"),
        ({"cnf": {"jwk": {"kty": "oct", "k": "AAAA", "alg": "HS256"}}}, None),
        ({"cnf": {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "alg": "Ed25519"}}}, None),
        ({"cnf": {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "alg": "EdDSA"}}}, None),
        ({"jti": GONE}, "invalid_jwt"),
        ({"jti": ["x"]}, "invalid_jwt"),
        ({"sub": GONE}, "invalid_jwt"),
        ({"dwk": GONE}, "invalid_jwt"),
        ({"dwk": "aauth-resource.json"}, "invalid_jwt"),
    ],
    ids=lambda value: str(value)[:48],
)
@pytest.mark.spec("#common-verification", "#request-context-binding")
async def test_a_token_whose_claims_do_not_hold_is_refused(
    city: City, honest: Honest, kind: Any, claims: dict[str, Any], code: str | None
) -> None:
    agent, tokens = honest
    key, header, own = issuer_key(city, kind, {"cnf": {"jwk": agent.key.public.to_jwk()}})
    answer = await show(city, agent.key, city.forged(tokens[kind], key, header=header, **{**own, **claims}), DOOR[kind])
    assert answer.status == 401
    assert code is None or error_code(answer) == code


@pytest.mark.parametrize("kind", [PersonToken, AuthToken])
@pytest.mark.parametrize(
    "aud",
    [MAIL, f"{CALENDAR}/", CALENDAR.upper(), f"{CALENDAR}:443", [CALENDAR], [CALENDAR, MAIL], GONE, "*", PS, "", None],
    ids=str,
)
@pytest.mark.spec("#person-token-verification", "#auth-token-verification")
async def test_a_token_for_another_audience_is_refused(city: City, honest: Honest, kind: Any, aud: Any) -> None:
    agent, tokens = honest
    key, header, own = issuer_key(city, kind, {"cnf": {"jwk": agent.key.public.to_jwk()}})
    text = city.forged(tokens[kind], key, header=header, **{**own, "aud": aud})
    answer = await show(city, agent.key, text, DOOR[kind])
    assert (answer.status, error_code(answer)) == (401, "invalid_jwt")


@pytest.mark.parametrize("kind", [PersonToken, AuthToken])
@pytest.mark.spec("#person-token-structure", "#auth-token-structure")
async def test_a_token_that_lives_longer_than_an_hour_is_refused(city: City, honest: Honest, kind: Any) -> None:
    agent, tokens = honest
    key, header, own = issuer_key(city, kind, {"cnf": {"jwk": agent.key.public.to_jwk()}})
    now = int(city.clock())
    text = city.forged(tokens[kind], key, header=header, **{**own, "iat": now, "exp": now + 3601})
    assert (await show(city, agent.key, text, DOOR[kind])).status == 401


# ------------------------------------------------------------------------- pseudonyms


@pytest.mark.spec("#keying-material")
async def test_a_pseudonym_is_the_key_that_signs(city: City) -> None:
    durable, ephemeral = SigningKey.generate(), SigningKey.generate()
    url = f"{CALENDAR}/hello"
    mine = issue_jkt_jwt(durable, ephemeral.public, jti="j", now=city.clock())
    # Somebody else's name on a delegation of one's own.
    victim = parse(issue_jkt_jwt(city.evil, ephemeral.public, jti="j", now=city.clock())).payload["iss"]
    genuine = parse(mine)
    for header, claims in (
        ({}, {"iss": victim}),
        ({"jwk": city.evil.public.to_jwk()}, {"iss": victim}),
        ({"jwk": {**durable.public.to_jwk(), "alg": "EdDSA"}}, {}),
        ({"typ": "jkt-s512+jwt"}, {}),
        ({"typ": "aa-agent+jwt"}, {}),
        ({}, {"exp": int(city.clock())}),
        ({}, {"cnf": {"jwk": city.thief.public.to_jwk()}}),
    ):
        text = jws.sign({**genuine.header, **header}, {**genuine.payload, **claims}, durable)
        answer = await city.send(city.signed("GET", url, ephemeral, JKTJWT(text)))
        assert answer.status == 401, (header, claims)
    assert (await city.send(city.signed("GET", url, ephemeral, JKTJWT(mine)))).status == 200
