"""The middleware: bodies, ambiguous targets, WebSockets, the interaction page, and input of every kind."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aauthlib.http import Fields, Request, Response
from aauthlib.messages.headers import parse_signature_error
from aauthlib.messages.requirement import Requirement
from aauthlib.resource import Policy, Route, anonymous, authorized, managed, person
from aauthlib.tokens import PERSON_DWK
from aauthlib.verification import Level
from tests.resource.world import AP, PS, RESOURCE, App, World, call, requirement_of


@pytest.fixture
def world() -> World:
    return World()


# ---------------------------------------------------------------- bodies


async def test_a_covered_body_is_read_verified_and_given_to_the_application(world: World) -> None:
    body = b'{"n":"' + b"x" * 3000 + b'"}'
    assert (await world.post("/events", world.auth_token("calendar.write"), body=body)).status == 200
    assert world.app.calls == [("POST", "/events", body)]


@pytest.mark.spec("#covered-components")
async def test_a_covered_body_that_was_changed_is_refused(world: World) -> None:
    request = world.signed("POST", "/events", world.auth_token("calendar.write"), body=b'{"n":1}')
    response = await world.call(Request(request.method, request.url, request.headers, b'{"n":2}'))
    assert response.status == 401
    assert world.app.calls == []


async def test_a_covered_body_larger_than_the_limit_is_not_read_on(world: World) -> None:
    response = await world.post("/events", world.auth_token("calendar.write"), body=b"x" * 5000)
    assert (response.status, response.json()["error"]) == (413, "invalid_request")


async def test_a_body_nobody_signed_is_streamed_through_whatever_its_size() -> None:
    world = World(policy=Policy([Route("POST", "/upload", anonymous())]))
    body = b"x" * 50_000
    assert (await world.unsigned("POST", "/upload", body=body)).status == 200
    assert world.app.calls == [("POST", "/upload", body)]


async def test_an_uncovered_body_is_streamed_through_to_a_signed_caller(world: World) -> None:
    body = b"x" * 50_000
    assert (await world.post("/events", world.auth_token("calendar.write"), body=body, cover_body=False)).status == 200
    assert world.app.calls[0][2] == body


async def test_no_body_is_read_for_a_request_that_is_challenged() -> None:
    world = World(policy=Policy([Route("POST", "/x", person())]))
    read: list[str] = []

    async def receive() -> Any:
        read.append("read")
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Any) -> None:
        read.append(message["type"])

    scope = {"type": "http", "method": "POST", "path": "/x", "raw_path": b"/x", "query_string": b"", "headers": []}
    await world.asgi(scope, receive, send)
    assert read == ["http.response.start", "http.response.body"]


async def test_the_query_is_the_applications_own(world: World) -> None:
    seen: list[bytes] = []
    world.app.answer = lambda scope: (seen.append(scope["query_string"]) or 200, b"")  # type: ignore[func-returns-value]
    await world.get("/private?a=%2F&b=../x", world.auth_token("calendar.read"))
    assert seen == [b"a=%2F&b=../x"]


@pytest.mark.parametrize(
    ("stated", "sent"),
    [
        (b"max-age=60", ["max-age=60, private"]),
        (b"", ["private"]),
        (b"Public, max-age=60", ["Public, max-age=60"]),
        (b"no-store", ["no-store"]),
        (b"private", ["private"]),
        (b"max-age=5, x=public", ["max-age=5, x=public, private"]),
    ],
)
async def test_what_needed_a_credential_stays_out_of_shared_caches(stated: bytes, sent: list[str]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"Cache-Control", stated)] if stated else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    world = World(app=app)
    response = await world.get("/private", world.auth_token("calendar.read"))
    assert response.headers.get_all("cache-control") == sent
    opened = await world.get("/open/x", world.auth_token("calendar.read"))
    assert opened.headers.get_all("cache-control") == ([stated.decode()] if stated else [])


# ---------------------------------------------------------------- targets read in two ways


@pytest.mark.spec("#covered-components")
@pytest.mark.parametrize(
    "target",
    [
        "/open/../private",
        "/open/%2e%2e/private",
        "/open/..%2fprivate",
        "/open%2f..%2fprivate",
        "//private",
        "/open//..//private",
        "/./private",
        "/private%00",
        "/private%2f",
        "/open/%252e%252e/private",
        "/open/..\\private",
        "/private%0a",
    ],
)
async def test_no_spelling_of_a_path_gets_around_a_route(world: World, target: str) -> None:
    response = await world.unsigned("GET", target)
    assert response.status == 400
    assert world.app.calls == []


@pytest.mark.parametrize("target", ["/private/", "/%70rivate", "/p%72ivate/"])
async def test_an_encoded_or_trailing_spelling_meets_the_same_route(world: World, target: str) -> None:
    assert requirement_of(await world.unsigned("GET", target)) == "person-token"
    assert (await world.get(target, world.auth_token("calendar.read"))).status == 200


@pytest.mark.parametrize("target", ["/PRIVATE", "/Private", "/private.json", "/private;x=1"])
async def test_another_path_is_not_in_the_policy(world: World, target: str) -> None:
    assert (await world.unsigned("GET", target)).status == 404
    assert world.app.calls == []


async def test_a_permissive_default_is_no_way_around_a_route() -> None:
    policy = Policy([Route("GET", "/private", authorized("calendar.read"))], default=anonymous())
    world = World(policy=policy)
    assert (await world.unsigned("GET", "/other")).status == 200
    for target in ("/PRIVATE", "/private/", "/Private/"):
        assert (await world.unsigned("GET", target)).status in (401, 404)
    assert len(world.app.calls) == 1


@pytest.mark.parametrize("name", ["x-http-method-override", "X-HTTP-Method", "x-method-override"])
async def test_a_method_cannot_be_overridden(world: World, name: str) -> None:
    response = await world.unsigned("GET", "/events", headers=[(name, "DELETE")])
    assert response.status == 400


async def test_a_lower_case_method_is_refused(world: World) -> None:
    assert (await world.unsigned("get", "/events")).status == 400


async def test_under_a_mount_point_the_whole_target_is_signed_and_the_applications_part_is_matched(
    world: World,
) -> None:
    request = world.signed("GET", "/v1/private", world.auth_token("calendar.read"))
    assert (await world.call(request, root_path="/v1")).status == 200
    assert (await world.call(request)).status == 404
    unsigned = Request("GET", f"{RESOURCE}/v1/private")
    assert (await world.call(unsigned, root_path="/v1")).status == 401


async def test_a_server_without_raw_path_is_served_by_the_decoded_path(world: World) -> None:
    request = world.signed("GET", "/private", world.auth_token("calendar.read"))
    assert (await world.call(request, raw_path=None)).status == 200


# ---------------------------------------------------------------- the protocol's own paths


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("DELETE", "/.well-known/aauth-resource.json", "GET"),
        ("POST", "/aauth/jwks.json", "GET"),
        ("GET", "/aauth/authorize", "POST"),
        ("GET", "/aauth/revoke", "POST"),
        ("POST", "/aauth/pending/abc", "DELETE, GET"),
    ],
)
async def test_an_endpoint_says_which_methods_it_takes(world: World, method: str, target: str, allow: str) -> None:
    response = await world.unsigned(method, target)
    assert (response.status, response.headers.get("allow")) == (405, allow)


@pytest.mark.parametrize(
    "target", ["/aauth/", "/aauth/other", "/aauth/pending/", "/aauth/pending/a/b", "/aauth/interaction/"]
)
async def test_the_prefix_belongs_to_the_protocol(world: World, target: str) -> None:
    assert (await world.unsigned("GET", target)).status == 404
    assert world.app.calls == []


async def test_the_prefix_can_be_chosen() -> None:
    world = World(prefix="/api/-/")
    document = (await world.unsigned("GET", "/.well-known/aauth-resource.json")).json()
    assert document["jwks_uri"] == f"{RESOURCE}/api/-/jwks.json"
    assert (await world.unsigned("GET", "/api/-/jwks.json")).status == 200


async def test_unknown_pending_urls_are_not_found_for_the_signed_and_refused_to_the_unsigned(world: World) -> None:
    assert (await world.get("/aauth/pending/abc", world.agent_token())).status == 404
    assert (await world.unsigned("GET", "/aauth/pending/abc")).status == 401


async def test_the_application_finds_its_own_failures_untouched(world: World) -> None:
    world.app.failure = RuntimeError("own bug")
    with pytest.raises(RuntimeError, match="own bug"):
        await world.unsigned("GET", "/events")


async def test_an_error_of_its_own_is_a_server_error_that_says_nothing(world: World) -> None:
    async def broken(iss: str, jti: str) -> bool:
        raise RuntimeError("the password is 1234")

    world.store.is_revoked = broken
    response = await world.get("/me", world.person_token())
    assert (response.status, response.json()["error"]) == (500, "server_error")
    assert b"1234" not in response.body


async def test_a_client_that_hangs_up_while_its_body_is_read_gets_no_answer(world: World) -> None:
    request = world.signed("POST", "/events", world.auth_token("calendar.write"), body=b"{}")
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(name.encode(), value.encode()) for name, value in request.headers]
    scope = {"type": "http", "method": "POST", "path": "/events", "query_string": b"", "headers": headers}
    await world.asgi(scope, receive, send)
    assert sent == []
    assert world.app.calls == []


# ---------------------------------------------------------------- lifespan and WebSocket


async def test_lifespan_goes_through(world: World) -> None:
    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        raise AssertionError(message)

    await world.asgi({"type": "lifespan"}, receive, send)
    assert world.app.lifespan == ["lifespan.startup"]


async def websocket(world: World, path: str, **extra: Any) -> list[Any]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": [], **extra}
    await world.asgi(scope, receive, send)
    return sent


async def test_a_websocket_is_let_through_only_where_anybody_is(world: World) -> None:
    assert await websocket(world, "/open/feed") == [{"type": "websocket.accept"}]
    for path in ("/hello", "/me", "/private", "/managed", "/nowhere", "/open/../me", "/aauth/authorize"):
        assert await websocket(world, path) == [{"type": "websocket.close", "code": 1008}]


async def test_a_refused_websocket_gets_the_challenge_where_the_server_can_send_it(world: World) -> None:
    start, body = await websocket(world, "/me", extensions={"websocket.http.response": {}})
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
    assert (b"aauth-requirement", b"requirement=person-token") in start["headers"]
    assert body["type"] == "websocket.http.response.body"


# ---------------------------------------------------------------- the interaction page


class Browser:
    """Just enough of one: cookies by name, forms by their hidden fields."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.cookies: dict[str, str] = {}
        self.page = Response(0)
        self.path = ""

    async def request(self, method: str, target: str, body: bytes = b"", **headers: str) -> Response:
        fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
        if self.cookies:
            fields.append(("cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items())))
        if body:
            fields.append(("content-type", "application/x-www-form-urlencoded"))
        self.page = await self.world.call(Request(method, RESOURCE + target, Fields(fields), body))
        for cookie in self.page.headers.get_all("set-cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        self.path = target.partition("?")[0]
        return self.page

    async def submit(self, action: str, *, origin: str = RESOURCE, **fields: str) -> Response:
        token = re.search(r'name="csrf" value="([^"]+)"', self.text)
        assert token is not None
        form = {"csrf": token.group(1), "action": action, **fields}
        return await self.request("POST", self.path, urlencode(form).encode(), origin=origin)

    async def follow(self) -> Response:
        assert self.page.status == 303
        return await self.request("GET", self.page.headers.get("location") or "")

    @property
    def text(self) -> str:
        return self.page.body.decode()


async def open_interaction(world: World) -> tuple[str, str, str]:
    response = await world.get("/managed", world.agent_token())
    requirement = Requirement.parse(response.headers.get("aauth-requirement") or "")
    pending = (response.headers.get("location") or "").removeprefix(RESOURCE)
    return pending, (requirement.url or "").removeprefix(RESOURCE), requirement.code or ""


@pytest.mark.spec("#resource-managed-auth", "#user-interaction", "#aauth-access")
async def test_a_person_signs_in_sees_who_asks_and_approves(world: World) -> None:
    pending, target, code = await open_interaction(world)
    browser = Browser(world)
    await browser.request("GET", f"{target}?code={code}")
    assert browser.page.status == 200
    assert f'value="{code}"' in browser.text
    await browser.submit("sign-in", code=code, username="ada", password="pass")
    await browser.follow()
    assert "aauth:assistant@ap.example" in browser.text
    assert "Example Agents" in browser.text
    assert "<strong>events</strong>" in browser.text
    assert (await world.get(pending, world.agent_token())).status == 202
    done = await browser.submit("approve")
    assert (done.status, "Approved" in browser.text) == (200, True)
    answer = await world.get(pending, world.agent_token())
    assert answer.status == 200
    headers = [("authorization", f"AAuth {answer.headers.get('aauth-access')}")]
    assert (await world.call(world.signed("GET", "/managed", world.agent_token(), headers=headers))).status == 200
    assert world.app.grants[-1].user == "user-1"


@pytest.mark.spec("#interaction-callback-errors")
async def test_after_the_decision_the_browser_returns_to_the_callback(world: World) -> None:
    for action, expected in (("approve", f"{AP}/callback"), ("deny", f"{AP}/callback?error=access_denied")):
        pending, target, code = await open_interaction(world)
        browser = Browser(world)
        await browser.request("GET", f"{target}?{urlencode({'code': code, 'callback': f'{AP}/callback'})}")
        assert f"form-action 'self' {AP};" in (browser.page.headers.get("content-security-policy") or "")
        await browser.submit("sign-in", code=code, username="ada", password="pass")
        await browser.follow()
        response = await browser.submit(action)
        assert (response.status, response.headers.get("location")) == (303, expected)
        assert (await world.get(pending, world.agent_token())).status == (200 if action == "approve" else 403)


@pytest.mark.spec("#interaction-callback-errors")
async def test_an_expired_interaction_is_told_to_the_callback(world: World) -> None:
    _, target, code = await open_interaction(world)
    world.clock.now += 901
    browser = Browser(world)
    response = await browser.request("GET", f"{target}?{urlencode({'code': code, 'callback': f'{PS}/back?x=1'})}")
    assert response.headers.get("location") == f"{PS}/back?x=1&error=interaction_expired"
    assert (await browser.request("GET", f"{target}?code={code}")).status == 408


@pytest.mark.spec("#link-relation-security")
async def test_the_page_never_sends_a_browser_anywhere_else(world: World) -> None:
    _, target, code = await open_interaction(world)
    browser = Browser(world)
    await browser.request("GET", f"{target}?{urlencode({'code': code, 'callback': 'https://evil.example/'})}")
    assert "evil" not in (browser.page.headers.get("content-security-policy") or "")
    await browser.submit("sign-in", code=code, username="ada", password="pass")
    await browser.follow()
    response = await browser.submit("approve")
    assert (response.status, response.headers.get("location")) == (200, None)


async def test_nothing_is_decided_without_the_cookie_the_token_or_from_another_site(world: World) -> None:
    pending, target, code = await open_interaction(world)
    browser = Browser(world)
    await browser.request("GET", f"{target}?code={code}")
    await browser.submit("sign-in", code=code, username="ada", password="pass")
    await browser.follow()
    consent, cookies = browser.page, dict(browser.cookies)
    attempts: list[dict[str, Any]] = [
        {"cookies": {}, "csrf": None, "origin": RESOURCE},
        {"cookies": cookies, "csrf": "x" * 43, "origin": RESOURCE},
        {"cookies": cookies, "csrf": None, "origin": "https://evil.example"},
        {"cookies": {name: value[:-2] + "xx" for name, value in cookies.items()}, "csrf": None, "origin": RESOURCE},
    ]
    for attempt in attempts:
        browser.page, browser.path, browser.cookies = consent, target, attempt["cookies"]
        extra = {} if attempt["csrf"] is None else {"csrf": attempt["csrf"]}
        assert (await browser.submit("approve", origin=attempt["origin"], **extra)).status == 403
    plain = await world.unsigned("POST", target, body=b"action=approve")
    assert plain.status == 403
    assert (await world.get(pending, world.agent_token())).status == 202


async def test_a_cookie_of_one_interaction_is_nothing_at_another(world: World) -> None:
    _, first, code = await open_interaction(world)
    _, second, _ = await open_interaction(world)
    browser = Browser(world)
    await browser.request("GET", f"{first}?code={code}")
    await browser.submit("sign-in", code=code, username="ada", password="pass")
    await browser.follow()
    consent, (arrived,) = browser.page, browser.cookies.values()
    other = Browser(world)
    await other.request("GET", second)
    (name,) = other.cookies
    other.page, other.cookies = consent, {name: arrived}
    assert (await other.submit("approve")).status == 403
    other.page, other.path, other.cookies = consent, first, dict(browser.cookies)
    assert (await other.submit("approve")).status == 200


async def test_a_form_from_before_the_sign_in_decides_nothing(world: World) -> None:
    _, target, code = await open_interaction(world)
    browser = Browser(world)
    await browser.request("GET", f"{target}?code={code}")
    entry = browser.page
    assert (await browser.submit("approve")).status == 404
    browser.page = entry
    await browser.submit("sign-in", code=code, username="ada", password="pass")
    browser.page = entry
    assert (await browser.submit("approve")).status == 403


async def test_a_wrong_password_does_not_use_up_the_code_and_cannot_be_tried_without_end(world: World) -> None:
    _, target, code = await open_interaction(world)
    browser = Browser(world)
    await browser.request("GET", f"{target}?code={code}")
    for _ in range(10):
        assert (await browser.submit("sign-in", code=code, username="ada", password="no")).status == 403
        assert 'role="alert"' in browser.text
        assert "no" not in re.findall(r'value="([^"]*)"', browser.text)
    assert (await browser.submit("sign-in", code=code, username="ada", password="pass")).status == 429
    world.clock.now += 120
    assert (await browser.submit("sign-in", code=code, username="ada", password="pass")).status == 303


@pytest.mark.spec("#interaction-code-format")
async def test_a_wrong_code_is_counted_and_a_used_one_is_gone(world: World) -> None:
    pending, target, code = await open_interaction(world)
    browser = Browser(world)
    await browser.request("GET", target)
    wrong = "0000-0000" if code != "0000-0000" else "1111-1111"
    for _ in range(4):
        assert (await browser.submit("sign-in", code=wrong, username="ada", password="pass")).status == 403
    assert (await browser.submit("sign-in", code=code.lower(), username="ada", password="pass")).status == 303
    stranger = Browser(world)
    assert (await stranger.request("GET", f"{target}?code={code}")).status == 410
    assert (await world.get(pending, world.agent_token())).json()["status"] == "interacting"


@pytest.mark.spec("#interaction-code-format")
async def test_five_wrong_codes_end_it(world: World) -> None:
    pending, target, _ = await open_interaction(world)
    browser = Browser(world)
    await browser.request("GET", target)
    for _ in range(5):
        await browser.submit("sign-in", code="00000000", username="ada", password="pass")
    response = await world.get(pending, world.agent_token())
    assert (response.status, response.json()["error"]) == (410, "invalid_code")
    assert (await Browser(world).request("GET", target)).status == 410


async def test_the_page_is_framed_by_nobody_cached_by_nobody_and_runs_nothing(world: World) -> None:
    _, target, code = await open_interaction(world)
    page = await Browser(world).request("GET", f"{target}?code={code}")
    policy = page.headers.get("content-security-policy") or ""
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers.get("referrer-policy") == "same-origin"
    assert page.headers.get("cache-control") == "no-store"
    cookie = page.headers.get("set-cookie") or ""
    assert cookie.startswith("__Secure-aauth-")
    assert "HttpOnly" in cookie
    assert "Secure" in cookie.split("; ")
    assert b"<script" not in page.body


@pytest.mark.spec("#untrusted-input")
async def test_what_others_wrote_is_text_on_the_page() -> None:
    world = World(scopes={"calendar.read": "<script>alert(1)</script> **x** [a](javascript:x)", "calendar.write": "w"})
    world.directory._metadata[AP]["name"] = "<img src=x onerror=alert(1)>\u202etxt"
    world.asgi = world.asgi.__class__(
        world.app, world.resource, Policy([Route("GET", "/managed", managed("calendar.read"))])
    )
    _, target, code = await open_interaction(world)
    browser = Browser(world)
    await browser.request("GET", f"{target}?{urlencode({'code': '<b>' + code})}")
    assert "<b>" not in browser.text
    await browser.submit("sign-in", code=code, username='"><script>', password="x")
    assert "<script>" not in browser.text
    browser = Browser(world)
    await browser.request("GET", f"{target}?code={code}")
    await browser.submit("sign-in", code=code, username="ada", password="pass")
    await browser.follow()
    assert "<script" not in browser.text
    assert "<img" not in browser.text
    assert "\u202e" not in browser.text
    assert "&lt;img" in browser.text


# ---------------------------------------------------------------- input of every kind

_NAMES = st.sampled_from(
    [
        "signature",
        "signature-input",
        "signature-key",
        "authorization",
        "content-digest",
        "content-type",
        "prefer",
        "cookie",
        "origin",
        "aauth-capabilities",
        "date",
        "x-any",
    ]
)
_LATIN1 = st.text(st.characters(min_codepoint=1, max_codepoint=255, blacklist_characters="\r\n"), max_size=80)
_FRAGMENTS = st.sampled_from(
    [
        'sig=("@method" "@authority" "@path" "signature-key");created=1790000000',
        'sig=("@method" "@authority" "@path" "signature-key" "content-digest");created=1790000000',
        "sig=:AAAA:",
        'sig=jwt;jwt="e30.e30.AA"',
        'sig=jwt;jwt="eyJ0eXAiOiJhYS1hdXRoK2p3dCIsImFsZyI6IkVkMjU1MTkifQ.e30.AA"',
        'sig=hwk;kty="OKP";crv="Ed25519";x="AAAA";alg="Ed25519"',
        'sig=jwks_uri;id="https://ps.example";dwk="aauth-person.json";kid="1"',
        'sig=jkt-jwt;jwt="a.b.c"',
        "AAuth x",
        "AAuth",
        "Bearer x",
        "sha-256=:AAAA:",
        "sha-256=:",
        "application/json",
        "wait=99999999999",
        "a=b; __Secure-aauth-0=x.y",
        "((((",
        '"',
        "\xff",
    ]
)
_HEADERS = st.lists(st.tuples(_NAMES, _LATIN1 | _FRAGMENTS), max_size=6)
_TARGETS = st.sampled_from(
    [
        "/events",
        "/hello",
        "/me",
        "/private",
        "/held",
        "/managed",
        "/accounts/work/events",
        "/aauth/authorize",
        "/aauth/revoke",
        "/aauth/pending/x",
        "/aauth/interaction/x",
        "/aauth/jwks.json",
        "/.well-known/aauth-resource.json",
    ]
)
_PATHS = _TARGETS | st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=30).map(lambda t: "/" + t)
_METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "TRACE"])
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | st.text(max_size=20) | st.floats(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["scope", "account", "jti", "exp", "x"]), inner),
)
_RELAXED = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.spec("#error-responses", "#untrusted-input")
@given(method=_METHODS, path=_PATHS, headers=_HEADERS, body=st.binary(max_size=200))
@_RELAXED
async def test_no_request_of_any_kind_is_answered_with_a_server_error(
    world: World, method: str, path: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    response = await world.call(Request(method, RESOURCE + path, Fields(headers), body))
    assert response.status < 500, response.body


@pytest.mark.spec("#error-response-format", "#untrusted-input")
@given(
    endpoint=st.sampled_from(["authorize", "revoke"]),
    body=st.binary(max_size=100) | _JSON.map(json.dumps).map(str.encode),
)
@_RELAXED
async def test_no_signed_body_of_any_kind_is_answered_with_a_server_error(
    world: World, endpoint: str, body: bytes
) -> None:
    if endpoint == "authorize":
        request = world.signed("POST", "/aauth/authorize", world.person_token(), body=body)
    else:
        shown = world.as_server(PS, PERSON_DWK, world.ps)
        request = world.signed("POST", "/aauth/revoke", shown, key=world.ps, body=body)
    response = await world.call(request)
    assert response.status in (200, 400, 401, 429)
    if response.status == 400:
        assert response.json()["error"] in ("invalid_request", "invalid_scope", "invalid_account")


@pytest.mark.spec("#common-verification", "#untrusted-input")
@given(cut=st.integers(min_value=0, max_value=600), junk=_LATIN1)
@_RELAXED
async def test_a_damaged_token_is_a_signature_error(world: World, cut: int, junk: str) -> None:
    request = world.signed("GET", "/me", world.person_token())
    value = request.headers.get("signature-key") or ""
    damaged = value[:cut] + junk + value[cut + 1 :]
    if damaged == value:
        return
    response = await world.call(request.with_headers(signature_key=damaged))
    assert response.status == 401
    assert parse_signature_error(response.headers) is not None or "aauth-requirement" in response.headers


async def test_the_middleware_needs_no_framework(world: World) -> None:
    plain = App()
    world.asgi = world.asgi.__class__(plain, world.resource, Policy([Route("GET", "/", anonymous())]))
    response = await call(world.asgi, Request("GET", RESOURCE + "/"))
    assert response.status == 200
    assert plain.grants[0].level is Level.ANONYMOUS
