"""FastAPI and Starlette endpoints that say themselves what they ask of their caller.

Annotations are evaluated here: FastAPI cannot resolve those of nested functions that are strings.
"""

import json
import os
import stat
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.middleware.gzip import GZipMiddleware
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route as StarletteRoute

from aauthlib.errors import ConfigurationError, Gone
from aauthlib.http import Response
from aauthlib.httpsig import HWK
from aauthlib.httpsig.replay import MemoryReplayCache
from aauthlib.integrations import starlette
from aauthlib.integrations.fastapi import AAuth, Grant
from aauthlib.integrations.starlette import resource_key
from aauthlib.messages.requirement import Requirement
from aauthlib.resource import authorized, identified
from aauthlib.verification import Level
from tests.resource.world import AGENT, PS, World


class Event(BaseModel):
    title: str


def make(world: World) -> tuple[FastAPI, AAuth, list[Any]]:
    app = FastAPI()
    aauth = AAuth(app, resource=world.resource)
    served: list[Any] = []
    world.asgi = app

    @app.get("/open")
    async def read_open(request: Request) -> dict[str, Any]:
        return {"grant": "aauth" in request.scope}

    @app.get("/counted")
    async def counted(grant: Annotated[Grant, aauth.anonymous(limit="2/minute")]) -> str:
        return grant.level.name

    @app.get("/hello")
    def hello(grant: Grant = aauth.pseudonym()) -> str | None:  # a synchronous endpoint
        return grant.pseudonym

    @app.get("/me")
    async def me(grant: Annotated[Grant, aauth.person()]) -> Any:
        served.append(grant)
        return {"sub": grant.person and grant.person[1]}

    @app.get("/calendar/{account}")
    async def calendar(account: str, grant: Grant = aauth.authorized("calendar.read", account="account")) -> Any:
        return {"account": account, "scope": sorted(grant.scope)}

    @app.post("/events", status_code=201)
    async def create(event: Event, grant: Grant = aauth.authorized("calendar.write", delivery="202")) -> Any:
        served.append((event.title, grant))
        return {"created": event.title}

    @app.get("/managed")
    async def managed(grant: Grant = aauth.managed("calendar.read")) -> Any:
        return {"user": grant.user}

    @app.get("/broken")
    async def broken(grant: Grant = aauth.pseudonym()) -> Any:
        raise Gone("This is the application's own affair.")

    router = APIRouter(prefix="/team", dependencies=[aauth.identified(allow=[AGENT])])

    @router.get("/")
    async def team(grant: Annotated[Grant, aauth.identified()]) -> Any:
        return {"agent": grant.agent and grant.agent[1]}

    app.include_router(router)
    return app, aauth, served


def said(response: Response) -> Any:
    return json.loads(response.body)


def required(response: Response) -> Requirement:
    return Requirement.parse(response.headers.get("aauth-requirement") or "")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def app(world: World) -> FastAPI:
    return make(world)[0]


# ------------------------------------------------------------------------- the ladder


@pytest.mark.usefixtures("app")
async def test_an_endpoint_that_declares_nothing_is_open_and_finds_no_grant(world: World) -> None:
    assert said(await world.unsigned("GET", "/open")) == {"grant": False}
    assert said(await world.get("/open", world.person_token())) == {"grant": False}


@pytest.mark.spec("#verification")
@pytest.mark.usefixtures("app")
async def test_what_is_presented_must_verify_at_an_open_endpoint_too(world: World) -> None:
    response = await world.get("/open", world.agent_token(), key=world.other)
    assert (response.status, "signature-error" in response.headers) == (401, True)


@pytest.mark.usefixtures("app")
async def test_anonymous_callers_are_counted_and_told_how_to_do_better(world: World) -> None:
    statuses = [(await world.unsigned("GET", "/counted")).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert "hwk" in ((await world.unsigned("GET", "/counted")).headers.get("accept-signature-scheme") or "")
    assert said(await world.get("/counted")) == "PSEUDONYM"


@pytest.mark.usefixtures("app")
async def test_a_synchronous_endpoint_gets_the_grant_too(world: World) -> None:
    assert (await world.unsigned("GET", "/hello")).status == 401
    assert said(await world.get("/hello")) == world.agent.public.thumbprint


@pytest.mark.spec("#requirement-person-token")
@pytest.mark.usefixtures("app")
async def test_a_lower_credential_is_challenged_for_a_higher_one(world: World) -> None:
    response = await world.get("/me", world.agent_token())
    assert (response.status, required(response).value) == (401, "person-token")
    assert response.headers.get("cache-control") == "no-store"


@pytest.mark.usefixtures("app")
async def test_the_grant_is_typed_and_what_was_meant_for_one_caller_is_private(world: World) -> None:
    response = await world.get("/me", world.person_token())
    assert said(response) == {"sub": "dir-7f3a"}
    assert response.headers.get("cache-control") == "private"
    assert "cache-control" not in (await world.unsigned("GET", "/open")).headers


@pytest.mark.spec("#requirement-auth-token")
@pytest.mark.usefixtures("app")
async def test_the_resource_token_names_the_scope_and_the_account_of_the_path(world: World) -> None:
    response = await world.get("/calendar/work", world.person_token())
    token = await world.read_resource_token(response)
    assert (token.scope, token.account) == (("calendar.read",), "work")


@pytest.mark.spec("#account-binding")
@pytest.mark.usefixtures("app")
async def test_a_grant_for_one_account_opens_no_other(world: World) -> None:
    token = world.auth_token("calendar.read", account="work")
    assert said(await world.get("/calendar/work", token)) == {"account": "work", "scope": ["calendar.read"]}
    assert (await world.get("/calendar/home", token)).status == 401


@pytest.mark.usefixtures("app")
async def test_a_rule_of_the_router_and_one_of_the_endpoint_both_hold(world: World) -> None:
    assert said(await world.get("/team/", world.agent_token())) == {"agent": AGENT}
    assert (await world.get("/team/", world.agent_token(sub="aauth:other@ap.example"))).status == 403
    assert (await world.unsigned("GET", "/team/")).status == 401


async def test_several_rules_on_one_request_are_one_verification(world: World) -> None:
    world = World(replay=MemoryReplayCache())
    app, aauth, _ = make(world)

    @app.post("/twice", dependencies=[aauth.identified(), aauth.pseudonym()])
    async def twice() -> str:
        return "once"

    request = world.signed("POST", "/twice", world.agent_token(), body=b"{}")
    assert (await world.call(request)).status == 200
    assert (await world.call(request)).status == 401


# ------------------------------------------------------------------------- held invocations, sessions


@pytest.mark.spec("#deferred-auth-token")
async def test_a_held_call_runs_once_with_the_grant_presented_at_its_pending_url(world: World) -> None:
    served = make(world)[2]
    body = b'{"title":"Lunch"}'
    held = await world.post("/events", world.person_token(), body=body)
    assert (held.status, required(held).value) == (202, "auth-token")
    assert served == []
    pending = (held.headers.get("location") or "").removeprefix(world.issuer)
    done = await world.get(pending, world.auth_token("calendar.write"))
    assert (done.status, said(done)) == (201, {"created": "Lunch"})
    ((title, grant),) = served
    assert (title, grant.scope) == ("Lunch", {"calendar.write"})


@pytest.mark.spec("#deferred-auth-token")
async def test_a_body_the_signature_does_not_cover_is_held_too(world: World) -> None:
    served = make(world)[2]
    held = await world.post("/events", world.person_token(), body=b'{"title":"Tea"}', cover_body=False)
    assert held.status == 202
    pending = (held.headers.get("location") or "").removeprefix(world.issuer)
    assert (await world.get(pending, world.auth_token("calendar.write"))).status == 201
    assert [title for title, _ in served] == ["Tea"]


async def test_what_is_carried_out_later_must_satisfy_every_rule_of_the_endpoint(world: World) -> None:
    app, aauth, served = make(world)

    @app.post("/both", dependencies=[aauth.authorized("calendar.write", delivery="202")])
    async def both(grant: Grant = aauth.authorized("calendar.share")) -> str:
        served.append(grant)
        return "done"

    held = await world.post("/both", world.person_token())
    pending = (held.headers.get("location") or "").removeprefix(world.issuer)
    assert (await world.get(pending, world.auth_token("calendar.write"))).status == 403
    assert served == []


async def _carried_out(world: World, path: str, token: str) -> int:
    held = await world.post(path, world.person_token())
    assert held.status == 202
    return (await world.get((held.headers.get("location") or "").removeprefix(world.issuer), token)).status


async def test_an_allow_list_cannot_be_checked_later_so_it_refuses(world: World) -> None:
    app, aauth, _ = make(world)

    @app.post(
        "/both", dependencies=[aauth.authorized("calendar.write", delivery="202"), aauth.identified(allow=[AGENT])]
    )
    async def both() -> str:
        return "done"

    assert await _carried_out(world, "/both", world.auth_token("calendar.write")) == 403


async def test_a_held_call_is_carried_out_at_its_own_account_only(world: World) -> None:
    app, aauth, served = make(world)
    rules = [aauth.authorized("calendar.write", delivery="202"), aauth.authorized("calendar.write", account="account")]

    @app.post("/accounts/{account}", dependencies=rules)
    async def both(account: str) -> None:
        served.append(account)

    assert await _carried_out(world, "/accounts/work", world.auth_token("calendar.write", account="home")) == 403
    assert await _carried_out(world, "/accounts/work", world.auth_token("calendar.write", account="work")) == 200
    assert served == ["work"]


async def test_an_uncovered_body_that_is_too_large_is_not_held(world: World) -> None:
    app = FastAPI()
    aauth = AAuth(app, resource=world.resource, max_body_bytes=100)
    world.asgi = app

    @app.post("/events")
    async def create(grant: Grant = aauth.authorized("calendar.write", delivery="202")) -> None: ...

    large = await world.post("/events", world.person_token(), body=b"x" * 101, cover_body=False)
    small = await world.post("/events", world.person_token(), body=b"x" * 100, cover_body=False)
    assert (large.status, small.status) == (413, 202)


@pytest.mark.spec("#resource-managed-auth")
@pytest.mark.usefixtures("app")
async def test_a_managed_endpoint_sends_the_person_to_this_resources_own_page(world: World) -> None:
    response = await world.get("/managed", world.agent_token())
    assert (response.status, required(response).value) == (202, "interaction")


# ------------------------------------------------------------------------- living in an application


@pytest.mark.spec("#resource-metadata")
@pytest.mark.usefixtures("app")
async def test_the_protocols_own_paths_are_served_before_the_application(world: World) -> None:
    document = said(await world.unsigned("GET", "/.well-known/aauth-resource.json"))
    assert document["issuer"] == world.issuer
    assert (await world.unsigned("GET", "/aauth/jwks.json")).status == 200
    assert (await world.unsigned("GET", "/aauth/nothing")).status == 404


async def test_a_grant_that_came_from_outside_is_not_believed(world: World) -> None:
    make(world)
    foreign = Grant(level=Level.AUTHORIZED)
    response = await world.call(world.signed("GET", "/open"), aauth=foreign)
    assert said(response) == {"grant": False}


@pytest.mark.spec("signature-key#4.5")
async def test_an_unsigned_caller_the_application_slows_down_is_told_how_to_sign(world: World) -> None:
    app = make(world)[0]

    @app.get("/slow")
    async def slow() -> None:
        raise HTTPException(429)

    assert "hwk" in ((await world.unsigned("GET", "/slow")).headers.get("accept-signature-scheme") or "")
    assert "accept-signature-scheme" not in (await world.get("/slow")).headers


@pytest.mark.usefixtures("app")
async def test_an_error_of_the_applications_own_is_not_taken_for_a_refusal(world: World) -> None:
    with pytest.raises(Gone):
        await world.get("/broken")


async def test_a_middleware_inside_sees_the_challenge_as_an_ordinary_response(world: World) -> None:
    app = FastAPI()
    app.add_middleware(GZipMiddleware, minimum_size=1)
    aauth = AAuth(app, resource=world.resource)
    world.asgi = app

    @app.get("/me")
    async def me(grant: Grant = aauth.person()) -> str:
        return "me"

    response = await world.get("/me", world.agent_token(), headers=[("accept-encoding", "gzip")])
    assert (response.status, response.headers.get("content-encoding")) == (401, "gzip")


async def test_an_endpoint_that_aauth_stands_not_in_front_of_fails_loudly(world: World) -> None:
    app = FastAPI()
    aauth = AAuth(resource=world.resource)  # and no install
    world.asgi = app

    @app.get("/me")
    async def me(grant: Grant = aauth.person()) -> str:
        return "me"

    with pytest.raises(ConfigurationError, match="install"):
        await world.get("/me", world.person_token())


async def test_a_larger_covered_body_is_refused_before_the_application_reads_it(world: World) -> None:
    app = FastAPI()
    aauth = AAuth(app, resource=world.resource, max_body_bytes=100)
    world.asgi = app

    @app.post("/events")
    async def create(event: Event, grant: Grant = aauth.pseudonym()) -> str:
        return event.title

    assert (await world.post("/events", body=b'{"title":"%s"}' % (b"x" * 100))).status == 413
    assert (await world.post("/events", body=b'{"title":"x"}')).status == 200


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (lambda aauth: aauth.authorized("nonsense"), "not among"),
        (lambda aauth: aauth.managed("nonsense"), "not among"),
    ],
)
def test_a_rule_the_resource_cannot_serve_is_refused_when_it_is_declared(
    world: World, declare: Callable[[AAuth], Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        declare(AAuth(FastAPI(), resource=world.resource))


def test_either_a_resource_or_its_settings_are_given(world: World) -> None:
    for settings in (
        {},
        {"resource": world.resource, "issuer": world.issuer},
        {"resource": world.resource, "dev": True},
    ):
        with pytest.raises(ConfigurationError, match="either"):
            AAuth(FastAPI(), **settings)  # type: ignore[arg-type]


# ------------------------------------------------------------------------- OpenAPI


def test_the_openapi_document_says_what_each_operation_asks_for(app: FastAPI) -> None:
    paths = app.openapi()["paths"]
    modes = {path: [op.get("x-aauth-access-mode") for op in ops.values()] for path, ops in paths.items()}
    assert modes == {
        "/open": [None],
        "/counted": [None],
        "/hello": [None],
        "/me": ["person-token"],
        "/calendar/{account}": ["auth-token"],
        "/events": ["auth-token"],
        "/managed": [None],
        "/broken": [None],
        "/team/": ["agent-token"],
    }


def test_the_openapi_document_names_no_security_scheme_that_tools_would_misread(app: FastAPI) -> None:
    for _ in range(2):
        text = json.dumps(app.openapi())
        assert "securitySchemes" not in text
        assert '"security"' not in text


def test_other_security_schemes_of_the_application_stay(world: World) -> None:
    from fastapi import Depends
    from fastapi.security import HTTPBasic

    app = FastAPI()
    aauth = AAuth(app, resource=world.resource)

    @app.get("/both", dependencies=[Depends(HTTPBasic()), aauth.person()])
    async def both() -> str:
        return ""

    document = app.openapi()
    operation = document["paths"]["/both"]["get"]
    assert operation["security"] == [{"HTTPBasic": []}]
    assert operation["x-aauth-access-mode"] == "person-token"
    assert list(document["components"]["securitySchemes"]) == ["HTTPBasic"]


# ------------------------------------------------------------------------- Starlette


async def test_a_starlette_endpoint_requires_by_decorator(world: World) -> None:
    aauth = starlette.AAuth(resource=world.resource)

    @aauth.requires(authorized("calendar.read"))
    @aauth.requires(identified())
    async def calendar(request: Any) -> PlainTextResponse:
        return PlainTextResponse(",".join(request.scope["aauth"].scope))

    app = Starlette(routes=[StarletteRoute("/calendar", calendar)])
    aauth.install(app)
    world.asgi = app
    assert required(await world.get("/calendar", world.person_token())).value == "auth-token"
    assert (await world.get("/calendar", world.auth_token("calendar.read"))).body == b"calendar.read"
    assert (await world.get("/calendar", HWK.of(world.agent.public))).status == 401


# ------------------------------------------------------------------------- the key


def test_a_resource_keeps_its_key_where_nobody_else_reads_it(tmp_path: Any) -> None:
    key = resource_key("https://api.example", tmp_path)
    assert resource_key("https://api.example", tmp_path).public == key.public
    assert resource_key("http://api.localhost:8600", tmp_path).public != key.public
    (path, _) = sorted(tmp_path.iterdir())
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def beaten(own: Any, path: Any) -> None:
        monkeypatch.setattr(os, "link", link)
        other = resource_key("https://api.example", tmp_path)
        found.append(other.public)
        link(own, path)

    found: list[Any] = []
    monkeypatch.setattr(os, "link", beaten)
    assert resource_key("https://api.example", tmp_path).public == found[0]
    assert len(list(tmp_path.iterdir())) == 1


def test_an_issuer_is_enough(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AAUTH_HOME", str(tmp_path))
    aauth = AAuth(FastAPI(), issuer="https://api.example", scopes={"calendar.read": "See your events."})
    aauth.authorized("calendar.read")
    assert aauth.resource.metadata().jwks_uri == "https://api.example/aauth/jwks.json"
    assert PS not in json.dumps(aauth.resource.metadata_document())
