"""Promise 5: requests that lie about themselves: hosts, targets, methods, components, and too much of everything."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import quote, unquote

import pytest
import pytest_asyncio

from aauthlib.base64url import b64url_encode
from aauthlib.http import Fields, Request
from aauthlib.httpsig import HWK, JWT, sign
from aauthlib.httpsig.signature_key import dump
from aauthlib.keys import SigningKey
from aauthlib.resource import Policy, Route, anonymous, authorized
from aauthlib.web.resource import AAuthMiddleware
from tests.resource.world import App, call

from .world import (
    AP,
    CALENDAR,
    MAIL,
    PS,
    Agent,
    AgentToken,
    AuthToken,
    City,
    PersonToken,
    error_code,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def honest(city: City) -> tuple[Agent, dict[Any, str]]:
    agent = await city.newcomer()
    person = await agent.person_token()
    auth = await agent.auth_token(person, "calendar.read")
    return agent, {AgentToken: agent.token, PersonToken: person, AuthToken: auth}


Honest = tuple[Agent, dict[Any, str]]


# ------------------------------------------------------------------------- requests that lie


@pytest.mark.parametrize(
    "lie",
    [
        {"host": "mail.example"},
        {"host": "evil.example"},
        {"x-forwarded-host": "mail.example"},
        {"x-forwarded-proto": "http"},
        {"x-forwarded-prefix": "/admin"},
        {"forwarded": "host=mail.example;proto=http"},
        {"x-original-url": "/holidays"},
        {"x-rewrite-url": "/holidays"},
        {"x-original-uri": "/holidays"},
        {"x-forwarded-uri": "/holidays"},
        {"x-forwarded-for": "127.0.0.1"},
        {"x-real-ip": "127.0.0.1"},
    ],
    ids=str,
)
@pytest.mark.spec("#covered-components")
async def test_what_a_header_says_about_the_request_changes_nothing(
    city: City, honest: Honest, lie: dict[str, str]
) -> None:
    agent, tokens = honest
    unsigned = await city.send(Request("GET", f"{CALENDAR}/events", Fields(lie)))
    assert unsigned.status == 401
    # A request for the other host does not become one for this host, nor the other way round.
    for origin, at, status in ((MAIL, CALENDAR, 401), (CALENDAR, CALENDAR, 200)):
        request = city.signed("GET", f"{origin}/agent", agent.key, tokens[AgentToken], headers=lie.items())
        assert (await city.send(request, at=at)).status == status
    page = await city.send(Request("GET", f"{PS}/sign-in", Fields(lie)))
    assert b"mail.example" not in page.body
    assert b"evil.example" not in page.body
    redirect = await city.send(Request("GET", f"{PS}/security/", Fields(lie)))
    assert "example" not in (redirect.headers.get("location") or "")
    fresh = await city.newcomer()
    challenge = await fresh.call("GET", f"{CALENDAR}/managed", headers=lie.items())
    assert (challenge.headers.get("location") or "").startswith(f"{CALENDAR}/aauth/pending/")
    metadata = await city.send(Request("GET", f"{CALENDAR}/.well-known/aauth-resource.json", Fields(lie)))
    assert metadata.json()["issuer"] == CALENDAR


@pytest.mark.parametrize(
    "name", ["x-http-method-override", "x-http-method", "x-method-override", "X-HTTP-Method-Override"]
)
async def test_a_method_override_is_refused(city: City, honest: Honest, name: str) -> None:
    agent, tokens = honest
    request = city.signed("GET", f"{CALENDAR}/events", agent.key, tokens[AuthToken], headers=[(name, "DELETE")])
    answer = await city.send(request)
    assert (answer.status, error_code(answer)) == (400, "invalid_request")


TARGETS = [
    "/holidays/../events",
    "/holidays/%2e%2e/events",
    "/holidays/..%2fevents",
    "/holidays%2f..%2fevents",
    "//events",
    "/%2fevents",
    "/./events",
    "/%2e/events",
    "/events%00",
    "/events%0a",
    "/events;x=1",
    "/events%3bx",
    "/events%20",
    "/events.",
    "/EVENTS",
    "/Events",
    "/%65vents",
    "/events/",
    "/events//",
    "/events/..",
    "/events%2f",
    "/events%5c",
    "/events\\",
    "\\events",
    "/holidays\\..\\events",
    "/%c0%ae%c0%ae/events",
    "/%ff/events",
    "/%u0065vents",
    "/events%e2%80%a8",
    "/events?x=/holidays",
    "/events#/holidays",
    "/holidays/..;/events",
    "/%252e%252e/events",
    "/holidays%23/../events",
    "/holidays%3f/../events",
    "http://calendar.example/events",
    "https://calendar.example/events",
    "http://evil.example/holidays",
    "calendar.example:443",
    "*",
    "",
    "events",
]


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.spec("#covered-components", "#untrusted-input")
async def test_no_spelling_of_a_target_leads_around_the_policy(city: City, honest: Honest, target: str) -> None:
    """The application is reached at /events only by whoever may, however the path is spelled."""
    agent, tokens = honest
    path, _, query = target.partition("?")
    for decoded in (True, False):
        scope = {
            "raw_path": path.encode("latin-1"),
            "path": _decode(path) if decoded else path,
            "query_string": query.encode(),
        }
        for request in (
            Request("GET", f"{CALENDAR}/"),
            city.signed("GET", f"{CALENDAR}/holidays", city.thief),
            city.signed("GET", f"{CALENDAR}/holidays", agent.key, tokens[PersonToken]),
        ):
            answer = await city.send(request, **scope)
            assert answer.status in (400, 401, 404, 405), (target, answer.status, answer.body)
            assert b"Dentist" not in answer.body


def _decode(path: str) -> str:
    return unquote(path, errors="replace")


AMBIGUOUS = [
    "//events",
    "/events//",
    "/x//../events",
    "/%2fevents",
    "/events%2f",
    "/events%5c",
    "/events\\",
    "\\events",
    "/x\\..\\events",
    "/./events",
    "/%2e/events",
    "/x/../events",
    "/x/%2e%2e/events",
    "/x/..%2fevents",
    "/%252e%252e/events",
    "/EVENTS",
    "/eventS/",
    "/events%00",
    "/events%0a",
    "/%ff/events",
]


@pytest.mark.parametrize("target", AMBIGUOUS, ids=str)
@pytest.mark.spec("#untrusted-input")
async def test_a_default_that_lets_everybody_in_is_no_way_around_a_route(city: City, target: str) -> None:
    """Where the rest of an API is open, a spelling that only the application resolves must not count as the rest."""
    inner = App()
    open_policy = Policy([Route("*", "/events", authorized("calendar.read"))], default=anonymous())
    app = AAuthMiddleware(inner, city.resources[CALENDAR], open_policy)
    scope = {"raw_path": target.encode("latin-1"), "path": unquote(target, errors="replace")}
    answer = await call(app, Request("GET", f"{CALENDAR}/"), **scope)
    assert answer.status in (400, 401, 404)
    assert inner.calls == []
    assert (await call(app, Request("GET", f"{CALENDAR}/rest"))).status == 200


@pytest.mark.parametrize(
    "method", ["get", "Get", "GET ", "G\x00ET", "TRACE", "CONNECT", "PROPFIND", "*", "", "POST\r\n"]
)
async def test_no_spelling_of_a_method_leads_around_the_policy(city: City, method: str) -> None:
    answer = await city.send(Request(method, f"{CALENDAR}/events"))
    assert answer.status in (400, 404, 405)
    assert "error" in answer.json()


async def test_a_raw_path_that_lies_about_the_path_is_not_what_was_signed(city: City, honest: Honest) -> None:
    """A server that gives the application another path than it received: the signature is over what was received."""
    agent, tokens = honest
    request = city.signed("GET", f"{CALENDAR}/agent", agent.key, tokens[AgentToken])
    answer = await city.send(request, raw_path=b"/me")
    assert answer.status == 401


@pytest.mark.spec("#untrusted-input")
async def test_nothing_sent_comes_back_as_a_header_line(city: City, honest: Honest) -> None:
    """Response splitting: values that end up in headers cannot end a line."""
    agent, _ = honest
    evil = "x\r\nset-cookie: stolen=1\r\n\r\n<script>"
    for request in (
        Request("GET", f"{PS}/interaction/abc?code={_quoted(evil)}&callback={_quoted(evil)}"),
        Request("GET", f"{PS}/sign-in?next={_quoted(evil)}"),
        Request("GET", f"{PS}/interaction-callback/{_quoted(evil)}?error={_quoted(evil)}"),
        Request("GET", f"{AP}/callback?error={_quoted(evil)}"),
        Request("GET", f"{CALENDAR}/aauth/interaction/{_quoted('a')}?callback={_quoted(evil)}&code={_quoted(evil)}"),
        Request("GET", f"{CALENDAR}/{_quoted('x' + evil)}"),
        city.signed("POST", f"{PS}/person-token", agent.key, agent.token, body={"resource": evil, "prompt": evil}),
        city.signed("GET", f"{CALENDAR}/agent", agent.key, JWT("a.b.c"), headers=[("prefer", "wait=" + evil[:1])]),
    ):
        answer = await city.send(request)
        assert answer.status < 500
        for name, value in answer.headers:
            assert "\r" not in value
            assert "\n" not in value
            assert name != "set-cookie" or "stolen" not in value
        assert b"<script>" not in answer.body


def _quoted(text: str) -> str:
    return quote(text, safe="")


# ------------------------------------------------------------------------- headers that confuse


@pytest.mark.spec("#verification")
async def test_a_signature_that_leaves_something_out_is_refused(city: City, honest: Honest) -> None:
    agent, tokens = honest
    genuine = city.signed("GET", f"{CALENDAR}/agent", agent.key, tokens[AgentToken])
    inputs = genuine.headers.get("signature-input") or ""
    for name in ('"@method"', '"@authority"', '"@path"', '"signature-key"'):
        thin = inputs.replace(name, "").replace("  ", " ").replace("( ", "(").replace(" )", ")")
        answer = await city.send(genuine.with_headers(signature_input=thin))
        assert (answer.status, error_code(answer)) == (401, "invalid_input"), name
        assert name in (answer.headers.get("signature-error") or "")
    for header in ("signature", "signature-input", "signature-key"):
        without = genuine.with_headers(**{header.replace("-", "_"): None})
        answer = await city.send(without)
        assert (answer.status, error_code(answer)) == (401, "invalid_signature"), header


@pytest.mark.parametrize("lines", [1, 2], ids=["in one line", "in two lines"])
@pytest.mark.parametrize("victim_first", [True, False], ids=["victim first", "victim last"])
@pytest.mark.spec("rfc9421#4.1", "rfc9421#4.2", "signature-key#3.2")
async def test_two_members_of_one_label_let_nobody_appear_as_another(
    city: City, honest: Honest, victim_first: bool, lines: int
) -> None:
    """A thief signs with a key of its own and shows the victim's token under the same label. Whoever reads the first
    member, a proxy or a log, would take it for the victim; whoever reads the last for the thief, or the other way."""
    agent, tokens = honest
    thief = SigningKey.generate()
    url = f"{CALENDAR}/agent"

    def in_order(victim: str, own: str) -> list[str]:
        members = [victim, own] if victim_first else [own, victim]
        return members if lines == 2 else [", ".join(members)]

    def doubled(request: Request, name: str, values: list[str]) -> Request:
        kept = [pair for pair in request.headers if pair[0] != name]
        return Request(request.method, url, Fields([*kept, *((name, value) for value in values)]))

    shown = in_order(dump("sig", JWT(tokens[AgentToken])), dump("sig", HWK.of(thief.public)))
    named = sign(
        Request("GET", url, Fields()),
        thief,
        HWK.of(thief.public),
        created=int(city.clock()),
        key_field=", ".join(shown),
    )
    genuine = city.signed("GET", url, agent.key, tokens[AgentToken])
    own = city.signed("GET", url, thief)
    assert (await city.send(genuine)).status == 200
    for lie in (
        doubled(named, "signature-key", shown),
        *(
            doubled(genuine, name, in_order(genuine.headers.get(name) or "", own.headers.get(name) or ""))
            for name in ("signature", "signature-input", "signature-key")
        ),
    ):
        answer = await city.send(lie)
        assert (answer.status, error_code(answer)) == (401, "invalid_signature")
        assert b"one label twice" in answer.body


@pytest.mark.spec("#signature-parameters")
async def test_a_signature_without_a_time_or_past_its_own_is_refused(city: City, honest: Honest) -> None:
    agent, tokens = honest
    request = Request("GET", f"{CALENDAR}/agent")
    now = int(city.clock())
    for options in ({"expires": now}, {"expires": now - 1}):
        signed = sign(request, agent.key, JWT(tokens[AgentToken]), created=now, **options)
        assert error_code(await city.send(signed)) == "invalid_signature"
    signed = sign(request, agent.key, JWT(tokens[AgentToken]), created=now)
    inputs = signed.headers.get("signature-input") or ""
    for replacement in ("", ";created=true", ';created="1800000000"', ";created=1800000000.5", ";created=-1"):
        changed = inputs.replace(f";created={now}", replacement)
        answer = await city.send(signed.with_headers(signature_input=changed))
        assert (answer.status, error_code(answer)) == (401, "invalid_signature")
    answer = await city.send(sign(request, agent.key, JWT(tokens[AgentToken]), created=now + 61))
    assert error_code(answer) == "clock_skew"


@pytest.mark.spec("#verification")
async def test_a_parameter_on_a_component_does_not_pass_for_the_component(city: City, honest: Honest) -> None:
    agent, tokens = honest
    genuine = city.signed("GET", f"{CALENDAR}/agent", agent.key, tokens[AgentToken])
    inputs = genuine.headers.get("signature-input") or ""
    for old, new in (
        ('"@path"', '"@path";req'),
        ('"@path"', '"@path";sf'),
        ('"@method"', '"@method" "@method"'),
        ('"@authority"', '"@AUTHORITY"'),
        ('"@path"', "@path"),
        ('"@path"', '"@path" "@nonsense"'),
        ('"@path"', '"@path" "@query-param";name="x"'),
        ('"@path"', '"@path" "x-not-there"'),
        ('"@path"', '"@path" "@signature-params"'),
    ):
        answer = await city.send(genuine.with_headers(signature_input=inputs.replace(old, new)))
        assert answer.status == 401, new


@pytest.mark.spec("#covered-components")
async def test_a_header_value_cannot_pretend_to_be_another_component(city: City, honest: Honest) -> None:
    """A line break in a covered value would make one component look like two in the signature base."""
    agent, tokens = honest
    url = f"{CALENDAR}/agent"
    signed = city.signed(
        "GET", url, agent.key, tokens[AgentToken], headers=[("x-note", "harmless")], components=["x-note"]
    )
    assert (await city.send(signed)).status == 200
    for value in ('harmless\n"@path": /me', "harmless\r\nx: y", "harmless ", "harmless, harmless", "härmless"):
        answer = await city.send(signed.with_headers(x_note=value))
        assert answer.status == (200 if value == "harmless " else 401), value


def _assembled(header: dict[str, Any], payload: dict[str, Any], mac: bytes | None = None) -> str:
    parts = [b64url_encode(json.dumps(part).encode()) for part in (header, payload)]
    text = ".".join(parts)
    if mac is None:
        return f"{text}."
    return f"{text}.{b64url_encode(hmac.new(mac, text.encode(), hashlib.sha256).digest())}"


# ------------------------------------------------------------------------- too much of everything


def _huge(city: City, agent: Agent) -> dict[str, Request]:
    url = f"{CALENDAR}/agent"
    good = city.signed("GET", url, agent.key, agent.token)
    deep = b"[" * 100_000 + b"]" * 100_000
    nested = _assembled({"alg": "Ed25519", "typ": "aa-agent+jwt", "kid": "k"}, {}, b"")
    inflated = f"{nested.partition('.')[0]}.{b64url_encode(b'[' * 12_000)}.AAAA"
    labels = ", ".join(f"l{number}=()" for number in range(5_000))
    components = " ".join(f'"x-{number}"' for number in range(3_000))
    return {
        "a long token": good.with_headers(signature_key=f'sig=jwt;jwt="{"a" * 200_000}"'),
        "a deep token": good.with_headers(signature_key=f'sig=jwt;jwt="{inflated}"'),
        "many dots": good.with_headers(signature_key=f'sig=jwt;jwt="{"." * 16_000}"'),
        "many labels": good.with_headers(signature_input=labels),
        "many components": good.with_headers(signature_input=f"sig=({components});created=1"),
        "many parameters": good.with_headers(signature_input='sig=("@path")' + ";a" * 20_000),
        "an unclosed string": good.with_headers(signature_key='sig=jwt;jwt="' + "\\" * 30_000),
        "an unclosed list": good.with_headers(signature_input="sig=" + "(" * 30_000),
        "a long signature": good.with_headers(signature=f"sig=:{'A' * 40_000}:"),
        "a long key": good.with_headers(signature_key="sig=hwk;" + ";".join(f'p{n}="x"' for n in range(5_000))),
        "many headers": Request("GET", url, Fields([*good.headers, *[(f"x-{n}", "y") for n in range(2_000)]])),
        "many of one header": Request("GET", url, Fields([*good.headers, *[("signature", "sig=:AA==:")] * 2_000])),
        "a long path": Request("GET", f"{CALENDAR}/{'a' * 100_000}"),
        "a long query": Request("GET", f"{CALENDAR}/events?{'a' * 1_000_000}"),
        "a deep body": city.signed("POST", f"{PS}/person-token", agent.key, agent.token, body=deep),
        "a large body": city.signed("POST", f"{PS}/person-token", agent.key, agent.token, body=b" " * 2_000_000),
        "a large body, unsigned": Request("POST", f"{AP}/enroll", Fields({}), b" " * 2_000_000),
        "a large form": Request(
            "POST",
            f"{PS}/sign-in",
            Fields({"content-type": "application/x-www-form-urlencoded"}),
            b"a=1&" * 200_000,
        ),
        "a large form of the resource": Request(
            "POST", f"{CALENDAR}/aauth/interaction/x", Fields({}), b"a=1&" * 60_000
        ),
        "a large held body": city.signed(
            "POST", f"{CALENDAR}/invitations", agent.key, agent.token, body=b" " * 2_000_000
        ),
        "many cookies": Request("GET", f"{PS}/", Fields({"cookie": "; ".join(f"c{n}=v" for n in range(5_000))})),
        "a large number": city.signed(
            "POST", f"{PS}/person-token", agent.key, agent.token, body=b'{"resource":' + b"9" * 200_000 + b"}"
        ),
    }


HUGE = [
    "a long token",
    "a deep token",
    "many dots",
    "many labels",
    "many components",
    "many parameters",
    "an unclosed string",
    "an unclosed list",
    "a long signature",
    "a long key",
    "many headers",
    "many of one header",
    "a long path",
    "a long query",
    "a deep body",
    "a large body",
    "a large body, unsigned",
    "a large form",
    "a large form of the resource",
    "a large held body",
    "many cookies",
    "a large number",
]


@pytest.mark.parametrize("name", HUGE)
@pytest.mark.spec("#untrusted-input")
async def test_too_much_of_anything_is_refused_fast(city: City, honest: Honest, name: str) -> None:
    agent, _ = honest
    request = _huge(city, agent)[name]
    before = len(city.network.asked)
    started = time.perf_counter()
    answer = await city.send(request)
    took = time.perf_counter() - started
    assert answer.status < 500
    assert answer.status >= 400 or name == "many cookies"
    assert took < 1.0, f"{took:.2f} s"
    assert city.network.asked[before:] == []
    assert len(answer.body) < 20_000
    assert (await agent.call("GET", f"{CALENDAR}/agent")).status == 200


async def test_the_list_of_what_is_too_much_is_whole(city: City, honest: Honest) -> None:
    assert list(_huge(city, honest[0])) == HUGE
