"""Bad input of every kind to every endpoint: the spec's error in the spec's form, nothing echoed, never a 500.

Requests are driven in process over ASGI. Signatures are valid wherever the signature is not what is being broken, so
that what is wrong reaches the code behind it. After each one the server still answers a good request.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aauthlib.http import Fields, Request
from aauthlib.httpsig import HWK, JKTJWT, JWKSURI, JWT, sign
from aauthlib.jws import parse
from aauthlib.keys import SigningKey
from aauthlib.messages.requirement import Requirement
from aauthlib.tokens import issue_jkt_jwt

from .engines import Databases
from .odd import (
    CREDENTIALS,
    FIELD_VALUES,
    FIELDS,
    FORMS,
    HEADERS,
    METHODS,
    QUERY,
    RAW_BODIES,
    SEGMENT,
    TEXT,
    assembled,
    bodies,
    claims_of,
    dumped,
    latin,
    mutated,
    octets,
    scrambled,
    tokens,
)
from .town import Town, check, drive
from .world import (
    AP,
    CALENDAR,
    EVIL_AP,
    EVIL_PS,
    MAIL,
    PS,
    AgentToken,
    City,
    PersonToken,
    open_city,
)

#: Of each property; a long run takes more (`AAUTHLIB_EXAMPLES=1000`).
EXAMPLES = int(os.environ.get("AAUTHLIB_EXAMPLES", "40"))
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with asyncio.Runner() as runner:
        opened = Town(runner, runner.run(open_city(Databases(tmp_path_factory.mktemp("town")))))
        runner.run(opened.settle())
        yield opened
        runner.run(opened.city.close())


# ------------------------------------------------------------------------- JSON endpoints, validly signed


def _calls(town: Town) -> dict[str, tuple[str, Any, Any, dict[str, Any]]]:
    """Every endpoint that takes JSON: URL, key, what is shown, and a body it would accept."""
    city, agent = town.city, town.agent
    ephemeral = SigningKey.generate()
    token = city.resource_token(city.read(town.person, PersonToken))
    delegation = issue_jkt_jwt(town.durable, ephemeral.public, jti=secrets.token_hex(8), now=city.clock())
    revocation = {"jti": "some-jti", "exp": int(city.clock()) + 100}
    context = {
        "capabilities": ["interaction"],
        "justification": "**why**",
        "platform": "web",
        "device": "phone",
        "prompt": "consent",
        "login_hint": "ada",
        "tenant": "t",
        "domain_hint": "d",
    }
    return {
        "enroll": (
            f"{AP}/enroll",
            town.durable,
            HWK.of(town.durable.public),
            {"ps": PS, "label": "x", "invitation": "y"},
        ),
        "refresh": (f"{AP}/refresh", ephemeral, JKTJWT(delegation), {"ps": PS}),
        "subagent": (
            f"{AP}/subagent",
            agent.key,
            JWT(agent.token),
            {"discriminator": "search", "jwk": city.thief.public.to_jwk()},
        ),
        "person token": (
            f"{PS}/person-token",
            agent.key,
            JWT(agent.token),
            {
                "resource": CALENDAR,
                "mission_s256": "m",
                "subagent_token": agent.token,
                "upstream_token": "u",
                **context,
            },
        ),
        "auth token": (
            f"{PS}/auth-token",
            agent.key,
            JWT(agent.token),
            {"resource_token": token, "presented_token": town.person, "subagent_token": agent.token, **context},
        ),
        "revocation at the person server": (
            f"{PS}/revocation",
            city.evil,
            JWKSURI(EVIL_AP, "aauth-agent.json", city.evil.kid),
            revocation,
        ),
        "authorize": (
            f"{CALENDAR}/aauth/authorize",
            agent.key,
            JWT(town.person),
            {"scope": "calendar.read", "account": "work"},
        ),
        "revocation at the resource": (
            f"{CALENDAR}/aauth/revoke",
            city.evil,
            JWKSURI(EVIL_PS, "aauth-person.json", city.evil.kid),
            revocation,
        ),
    }


CALLS = [
    "enroll",
    "refresh",
    "subagent",
    "person token",
    "auth token",
    "revocation at the person server",
    "authorize",
    "revocation at the resource",
]


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.spec("#error-response-format", "#token-endpoint-error-codes")
def test_a_body_of_any_shape_gets_a_problem(town: Town, name: str) -> None:
    url, key, shown, valid = _calls(town)[name]

    @SETTINGS
    @given(
        bodies(valid), st.sampled_from(["application/json", "application/json; charset=utf-16", "text/plain", "", "é"])
    )
    def bad(body: bytes, media_type: str) -> None:
        signed = sign(
            Request("POST", url, Fields({"content-type": media_type if media_type.isascii() else "x"}), body),
            key,
            shown,
            created=int(town.city.clock()),
        )
        drive(town, signed)

    bad()


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.spec("#authentication-errors")
def test_signature_headers_of_any_shape_get_a_signature_error(town: Town, name: str) -> None:
    url, key, shown, valid = _calls(town)[name]
    genuine = town.city.signed("POST", url, key, shown, body=valid)
    fields = {
        header: genuine.headers.get(header) or ""
        for header in ("signature", "signature-input", "signature-key", "content-digest", "content-type")
    }

    @SETTINGS
    @given(st.data())
    def bad(data: st.DataObject) -> None:
        header = data.draw(st.sampled_from(list(fields)))
        value = data.draw(
            scrambled(fields[header]) | st.text(st.characters(max_codepoint=255), max_size=60) | st.sampled_from(FIELDS)
        )
        sent = {**fields, header: value}
        dropped = data.draw(st.sampled_from([None, None, *fields]))
        if dropped is not None:
            sent.pop(dropped)
        pairs = [(field_name, latin(field_value)) for field_name, field_value in sent.items()]
        if data.draw(st.booleans()):
            pairs.append((header, latin(data.draw(st.sampled_from(FIELDS)))))
        answer = drive(town, Request("POST", url, Fields(pairs), genuine.body))
        assert answer.status in (200, 201, 400, 401, 403, 429)

    bad()


# ------------------------------------------------------------------------- tokens, validly signed, with any claims


@pytest.mark.parametrize("kind", ["agent", "person", "auth", "resource"])
@pytest.mark.spec("#common-verification", "#authentication-errors")
def test_a_token_with_any_claims_gets_a_signature_error_or_is_good(town: Town, kind: str) -> None:
    doors = [
        ("GET", f"{CALENDAR}/agent", None),
        ("GET", f"{CALENDAR}/me", None),
        ("GET", f"{CALENDAR}/events", None),
        ("POST", f"{CALENDAR}/invitations", {"date": "2026-12-01", "title": "Tea"}),
        ("POST", f"{CALENDAR}/aauth/authorize", {"scope": "calendar.read"}),
        ("GET", f"{CALENDAR}/aauth/pending/x", None),
        ("POST", f"{PS}/person-token", {"resource": CALENDAR}),
        ("GET", f"{PS}/pending/x", None),
        ("POST", f"{AP}/subagent", {"discriminator": "x", "jwk": town.city.thief.public.to_jwk()}),
    ]

    @settings(SETTINGS, max_examples=2 * EXAMPLES)
    @given(tokens(town, kind), st.sampled_from(doors))
    def bad(token: str, door: tuple[str, str, Any]) -> None:
        method, url, body = door
        try:
            request = town.city.signed(method, url, town.evil.key, token, body=body)
        except ValueError:
            return  # not even a header can carry it
        answer = town.send(request)
        check(town, request, answer, application=True)
        town.good(request)

    bad()


@pytest.mark.parametrize(
    ("member", "kind"), [("resource_token", "resource"), ("presented_token", "person"), ("presented_token", "auth")]
)
@pytest.mark.spec("#token-endpoint-error-codes", "#resource-token-verification")
def test_a_token_parameter_with_any_claims_gets_a_problem(town: Town, member: str, kind: str) -> None:
    valid = {
        "resource_token": assembled(
            {"alg": "Ed25519", "typ": "aa-resource+jwt", "kid": town.city.evil.kid},
            claims_of(town, "resource"),
            town.city.evil,
        ),
        "presented_token": town.evil_person,
    }

    @SETTINGS
    @given(tokens(town, kind) | TEXT)
    def bad(token: str) -> None:
        body = dumped({**valid, member: token, "capabilities": ["interaction"]})
        agent = town.evil
        answer = drive(town, town.city.signed("POST", f"{PS}/auth-token", agent.key, agent.token, body=body))
        assert answer.status in (202, 400, 413)

    bad()


@SETTINGS
@given(data=st.data())
@pytest.mark.spec("#sub-agents", "#token-endpoint-error-codes")
def test_a_sub_agent_token_with_any_claims_gets_a_problem(town: Town, data: st.DataObject) -> None:
    token = data.draw(tokens(town, "agent") | TEXT)
    body = dumped({"resource": CALENDAR, "subagent_token": token, "capabilities": ["interaction"]})
    drive(town, town.city.signed("POST", f"{PS}/person-token", town.evil.key, town.evil.token, body=body))


@SETTINGS
@given(data=st.data())
@pytest.mark.spec("#two-key-refresh")
def test_a_delegation_with_any_claims_gets_a_signature_error(town: Town, data: st.DataObject) -> None:
    ephemeral = SigningKey.generate()
    genuine = parse(issue_jkt_jwt(town.durable, ephemeral.public, jti=secrets.token_hex(8), now=town.city.clock()))
    header, claims = data.draw(
        st.tuples(mutated(dict(genuine.header)), st.just(genuine.payload))
        | st.tuples(st.just(dict(genuine.header)), mutated(genuine.payload))
    )
    shown = JKTJWT(assembled(header, claims, town.durable))
    for url, method in ((f"{AP}/refresh", "POST"), (f"{CALENDAR}/hello", "GET")):
        body = {} if method == "POST" else None
        drive(town, town.city.signed(method, url, ephemeral, shown, body=body), application=True)


# ------------------------------------------------------------------------- every address and method, unsigned and odd

ADDRESSES = [
    f"{AP}/",
    f"{AP}/callback",
    f"{AP}/enroll",
    f"{AP}/refresh",
    f"{AP}/subagent",
    f"{AP}/.well-known/aauth-agent.json",
    f"{AP}/.well-known/jwks.json",
    f"{PS}/",
    f"{PS}/setup",
    f"{PS}/sign-in",
    f"{PS}/sign-out",
    f"{PS}/security",
    f"{PS}/security/passkeys",
    f"{PS}/security/passkeys/remove",
    f"{PS}/security/password",
    f"{PS}/security/sessions/end",
    f"{PS}/agents/disconnect",
    f"{PS}/agents/forget",
    f"{PS}/interaction/{{}}",
    f"{PS}/requests/{{}}",
    f"{PS}/interaction-callback/{{}}",
    f"{PS}/static/{{}}",
    f"{PS}/favicon.ico",
    f"{PS}/{{}}",
    f"{PS}/sign-in/provider/{{}}",
    f"{PS}/sign-in/provider/{{}}/callback",
    f"{PS}/security/provider/link",
    f"{PS}/security/provider/unlink",
    f"{PS}/requests/{{}}/ask",
    f"{PS}/requests/{{}}/answer",
    f"{PS}/missions",
    f"{PS}/missions/{{}}",
    f"{PS}/missions/{{}}/end",
    f"{PS}/security/recovery-codes",
    f"{PS}/security/sessions/end-others",
    f"{PS}/log",
    f"{PS}/log/export",
    f"{PS}/data",
    f"{PS}/data/export",
    f"{PS}/data/delete",
    f"{PS}/organisation",
    f"{PS}/organisation/role",
    f"{PS}/organisation/remove",
    f"{PS}/organisation/disconnect",
    f"{PS}/organisation/invite",
    f"{PS}/organisation/withdraw",
    f"{PS}/organisation/groups",
    f"{PS}/organisation/groups/add",
    f"{PS}/organisation/groups/remove",
    f"{PS}/approvals",
    f"{PS}/approvals/away",
    f"{PS}/approvals/back",
    f"{PS}/approvals/{{}}",
    f"{PS}/join/{{}}",
    f"{PS}/notifications",
    f"{PS}/notifications/browser",
    f"{PS}/notifications/channel",
    f"{PS}/notifications/confirm",
    f"{PS}/notifications/remove",
    f"{PS}/notifications/test",
    f"{PS}/notifications/when",
    f"{PS}/notify.js",
    f"{PS}/mission",
    f"{PS}/mission/{{}}",
    f"{PS}/permission",
    f"{PS}/audit",
    f"{PS}/interaction",
    f"{PS}/person-token",
    f"{PS}/auth-token",
    f"{PS}/revocation",
    f"{PS}/pending/{{}}",
    f"{PS}/.well-known/aauth-person.json",
    f"{PS}/.well-known/aauth-person-jwks.json",
    f"{CALENDAR}/aauth/authorize",
    f"{CALENDAR}/aauth/revoke",
    f"{CALENDAR}/aauth/jwks.json",
    f"{CALENDAR}/aauth/pending/{{}}",
    f"{CALENDAR}/aauth/interaction/{{}}",
    f"{CALENDAR}/aauth/{{}}",
    f"{CALENDAR}/.well-known/aauth-resource.json",
    f"{CALENDAR}/holidays",
    f"{CALENDAR}/events",
    f"{CALENDAR}/events/{{}}",
    f"{CALENDAR}/invitations",
    f"{CALENDAR}/managed",
    f"{CALENDAR}/{{}}",
]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.spec("#error-responses", "#untrusted-input")
def test_any_request_to_any_address_gets_an_answer_in_its_form(town: Town, address: str) -> None:
    @settings(SETTINGS, max_examples=EXAMPLES * 5 // 8)
    @given(METHODS, SEGMENT, QUERY, HEADERS, FORMS | RAW_BODIES)
    def bad(method: str, segment: str, query: str, headers: dict[str, str], body: bytes) -> None:
        url = address.replace("{}", segment) + (f"?{query}" if query else "")
        fields = Fields((name, latin(value)) for name, value in headers.items())
        content = b"" if method in ("GET", "HEAD") else body
        request = Request(method, url, fields, content)
        answer = town.send(request)
        check(town, request, answer, application=not request.path.startswith("/aauth/") and request.origin == CALENDAR)

    bad()
    town.good(Request("GET", address.partition("{")[0]))


# ------------------------------------------------------------------------- forms of people who are signed in

SIGNED_IN = {
    "/requests/{digest}": ["decision", "scope", "remember", "version"],
    "/requests/{digest}/ask": ["question", "options"],
    "/requests/{digest}/answer": ["answer", "choice", "remember"],
    "/missions/{digest}/end": ["detail", "reason"],
    "/notifications/browser": ["endpoint", "p256dh", "auth"],
    "/notifications/channel": ["channel", "to"],
    "/notifications/confirm": ["id", "code"],
    "/notifications/remove": ["id"],
    "/notifications/test": ["id"],
    "/notifications/when": ["quiet_from", "quiet_until", "zone", "digest"],
    "/organisation/role": ["person", "role"],
    "/organisation/remove": ["person"],
    "/organisation/disconnect": ["person", "iss", "sub"],
    "/organisation/invite": ["note"],
    "/organisation/withdraw": ["id"],
    "/security/provider/link": ["tenant"],
    "/security/provider/unlink": ["iss", "sub"],
    "/data/delete": ["username"],
    "/agents/disconnect": ["iss", "sub"],
    "/agents/forget": ["iss", "sub", "resource", "scope", "account"],
    "/security/passkeys": ["name", "credential"],
    "/security/passkeys/remove": ["id"],
    "/security/password": ["current", "new"],
    "/security/sessions/end": ["session"],
    "/sign-in": ["username", "password", "credential", "handle", "code", "callback", "next"],
    "/setup": [
        "username",
        "display_name",
        "email",
        "password",
        "credential",
        "user_handle",
        "setup_code",
        "handle",
        "code",
    ],
    "/interaction/{handle}": ["code", "callback"],
}


@pytest.mark.parametrize("path", list(SIGNED_IN))
@pytest.mark.spec("#untrusted-input", "#ps-approval-endpoint-auth")
def test_a_form_with_any_fields_gets_a_page(town: Town, path: str) -> None:
    """With a session and the right CSRF token, so that the fields are read; by Bob, who has no agents."""
    city = town.city
    bob, csrf = town.bob, town.bob_csrf
    cookie = "; ".join(f"{each.name}={each.value}" for each in bob._client.cookies.jar)
    agent = town.run(city.newcomer())
    pending = town.run(agent.ask_person_token(MAIL))
    asked = Requirement.parse(pending.headers.get("aauth-requirement") or "")
    town.run(bob.visit(f"{asked.url}?code={asked.code}"))
    digest = bob.url.rpartition("/")[2]
    other = town.run(agent.ask_person_token(CALENDAR))
    handle = (Requirement.parse(other.headers.get("aauth-requirement") or "").url or "").rpartition("/")[2]

    names = SIGNED_IN[path]

    # Pages for people who are not signed in are tried as such too: a sign-in would end the session in use.
    @SETTINGS
    @given(
        st.lists(st.tuples(st.sampled_from([*names, "unknown"]), FIELD_VALUES | CREDENTIALS), max_size=6),
        SEGMENT,
        st.booleans(),
    )
    def bad(fields: list[tuple[str, str]], segment: str, known: bool) -> None:
        place = path.replace("{digest}", digest if known else segment).replace("{handle}", handle if known else segment)
        content = urlencode([("csrf", csrf), *((name, octets(value)) for name, value in fields)]).encode()
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "cookie": cookie,
            "origin": PS,
            "sec-fetch-site": "same-origin",
        }
        request = Request("POST", PS + place, Fields(headers), content)
        answer = town.send(request)
        check(town, request, answer)
        if any(name == "decision" and value == "approve" for name, value in fields):
            return
        follow = answer.headers.get("location") or ""
        assert answer.status != 303 or follow.startswith("/"), follow

    bad()
    town.good(Request("GET", f"{PS}/"))
    town.run(bob.visit(f"{PS}/security"))
    assert bob.status == 200


@pytest.mark.spec("#resource-managed-auth", "#untrusted-input")
def test_the_resources_page_takes_a_form_with_any_fields(town: Town) -> None:
    city = town.city
    agent = town.run(city.newcomer())
    pending = town.run(agent.call("GET", f"{CALENDAR}/managed"))
    asked = Requirement.parse(pending.headers.get("aauth-requirement") or "")
    browser = town.run(_visited(city, f"{asked.url}"))
    csrf = dict(browser.form_with("csrf").fields)["csrf"]
    cookie = "; ".join(f"{each.name}={each.value}" for each in browser._client.cookies.jar)

    @settings(SETTINGS, max_examples=2 * EXAMPLES)
    @given(
        st.lists(
            st.tuples(st.sampled_from(["code", "username", "password", "action", "callback", "csrf"]), FIELD_VALUES),
            max_size=5,
        ),
        SEGMENT,
        st.booleans(),
        st.booleans(),
        TEXT,
    )
    def bad(fields: list[tuple[str, str]], segment: str, known: bool, ours: bool, junk: str) -> None:
        url = (asked.url or "") if known else f"{CALENDAR}/aauth/interaction/{segment}"
        form = [*([("csrf", csrf)] if ours else []), *((name, octets(value)) for name, value in fields)]
        shown = cookie if ours else latin(f"{cookie.partition('=')[0]}={junk[:3000]}")
        request = Request("POST", url, Fields({"cookie": shown}), urlencode(form).encode())
        check(town, request, town.send(request))
        request = Request("GET", f"{url}?{urlencode(form)}", Fields({"cookie": shown}))
        check(town, request, town.send(request))

    bad()
    town.good(Request("GET", f"{CALENDAR}/"))


async def _visited(city: City, url: str) -> Any:
    browser = city.browser()
    await browser.visit(url)
    return browser


# ------------------------------------------------------------------------- pending URLs and the application


@SETTINGS
@given(segment=SEGMENT, method=st.sampled_from(["GET", "POST", "DELETE", "HEAD"]), body=RAW_BODIES, known=st.booleans())
@pytest.mark.spec("#polling-error-codes", "#cancel-request")
def test_a_pending_url_of_any_shape_gets_a_problem(
    town: Town, segment: str, method: str, body: bytes, known: bool
) -> None:
    pending = town.run(town.evil.ask_person_token(MAIL)).headers.get("location") if known else None
    content = body if method == "POST" else None
    for url in (pending or f"{PS}/pending/{segment}", f"{CALENDAR}/aauth/pending/{segment}"):
        for agent, shown in ((town.agent, town.agent.token), (town.evil, town.evil.token), (town.agent, town.auth)):
            request = town.city.signed(method, url, agent.key, shown, body=content, headers=[("prefer", "wait=0")])
            check(town, request, town.send(request))
    if pending is not None:
        town.run(town.evil.call("DELETE", pending))
    town.good(Request("GET", f"{PS}/"))


EVENT = {"date": "2026-12-01", "title": "Tea"}


def test_the_application_behind_the_middleware_stays_up(town: Town) -> None:
    city, agent = town.city, town.agent

    @settings(SETTINGS, max_examples=4 * EXAMPLES)
    @given(bodies(EVENT), SEGMENT, st.sampled_from(["application/json", "application/json", "x"]))
    @example(b'{"date":"2026-12-01","title":"\\ud800"}', "9" * 30, "application/json")
    @example(b"[" * 60_000, "9" * 5_000, "application/json")
    @example(b'{"date":"2026-12-0\\u0000","title":"x"}', "%C2%B2", "application/json")
    def bad(body: bytes, segment: str, media_type: str) -> None:
        for method, url, content in (
            ("POST", f"{CALENDAR}/events", body),
            ("DELETE", f"{CALENDAR}/events/{segment}", b""),
            ("GET", f"{CALENDAR}/events?{segment}", b""),
        ):
            fields = Fields({"content-type": media_type} if content else {})
            request = sign(Request(method, url, fields, content), agent.key, JWT(town.auth), created=int(city.clock()))
            check(town, request, town.send(request), application=True)

    bad()
    town.good(Request("GET", f"{CALENDAR}/"))


def test_what_is_counted_as_an_address_is_all_there_is(town: Town) -> None:
    """A route that is added to an app without a line in `ADDRESSES` would not be tried."""
    app = town.city.person_app._asgi
    paths = {route.path for route in app.routes}  # type: ignore[attr-defined]
    tried = {address.removeprefix(PS) for address in ADDRESSES if address.startswith(PS)}
    assert {_shape(path) for path in paths} == {_shape(path) for path in tried}
    provider = town.city.network.apps[AP]
    assert set(provider._apps) == {address.removeprefix(AP) for address in ADDRESSES if address.startswith(AP)}  # type: ignore[attr-defined]
    assert AgentToken.typ


def _shape(path: str) -> str:
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


@pytest.mark.spec("#untrusted-input", "#revocation-request")
def test_what_not_every_database_can_keep_is_refused_before_it_gets_there(town: Town) -> None:
    """A NUL: SQLite keeps it, PostgreSQL fails on it, so it is refused where it comes in."""
    for name, (url, key, shown, _) in _calls(town).items():
        if name.startswith("revocation"):
            body = {"jti": "a\0b", "exp": int(town.city.clock()) + 100}
            answer = town.send(town.city.signed("POST", url, key, shown, body=body))
            assert (answer.status, answer.json()["error"]) == (400, "invalid_request")
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "cookie": "; ".join(f"{each.name}={each.value}" for each in town.bob._client.cookies.jar),
        "origin": PS,
    }
    for path, names in SIGNED_IN.items():
        place = path.replace("{digest}", "0" * 64).replace("{handle}", "a" * 8)
        form = urlencode([("csrf", town.bob_csrf), *((name, "a\0b") for name in names)]).encode()
        answer = town.send(Request("POST", PS + place, Fields(headers), form))
        assert answer.status == 400, path
        assert b"The form could not be read" in answer.body, path
    for path in ("/requests/%00", "/interaction-callback/a%00", "/interaction/%00", "/static/%00", "/%00"):
        assert town.send(Request("GET", PS + path, Fields(headers))).status == 404, path
