"""Flask and Django (WSGI and ASGI): views that say themselves what they ask of their caller."""

from __future__ import annotations

import json
from typing import Any

import flask
import pytest

from aauthlib.errors import ConfigurationError
from aauthlib.http import Request, Response
from aauthlib.httpsig import HWK
from aauthlib.httpsig.replay import MemoryReplayCache
from aauthlib.integrations.flask import AAuth
from aauthlib.integrations.wsgi_resource import AAuthMiddleware
from aauthlib.messages.requirement import Requirement
from aauthlib.resource import Policy, Route, authorized, identified, person
from tests.resource.world import AGENT, World

from .frameworks import KINDS, _by_wsgi, call_wsgi, install, quiet, served

pytestmark = pytest.mark.parametrize("kind", KINDS)


def said(response: Response) -> Any:
    return json.loads(response.body)


def required(response: Response) -> Requirement:
    return Requirement.parse(response.headers.get("aauth-requirement") or "")


@pytest.fixture
def world(kind: str) -> World:
    made = World()
    install(kind, made)
    return made


# ------------------------------------------------------------------------- the ladder


async def test_a_view_that_declares_nothing_is_open_and_finds_no_grant(world: World) -> None:
    assert said(await world.unsigned("GET", "/open")) == {"grant": False}
    assert said(await world.get("/open", world.person_token())) == {"grant": False}


@pytest.mark.spec("#verification")
async def test_what_is_presented_must_verify_at_an_open_view_too(world: World) -> None:
    response = await world.get("/open", world.agent_token(), key=world.other)
    assert (response.status, "signature-error" in response.headers) == (401, True)


async def test_anonymous_callers_are_counted_and_told_how_to_do_better(world: World) -> None:
    statuses = [(await world.unsigned("GET", "/counted")).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    other = await world.unsigned("GET", "/counted", client="192.0.2.7")
    assert (other.status, said(other)) == (200, {"level": "ANONYMOUS"})
    assert "hwk" in ((await world.unsigned("GET", "/counted")).headers.get("accept-signature-scheme") or "")


async def test_an_asynchronous_view_gets_the_grant_too(world: World) -> None:
    assert (await world.unsigned("GET", "/hello")).status == 401
    assert said(await world.get("/hello")) == {"pseudonym": world.agent.public.thumbprint}


@pytest.mark.spec("#requirement-person-token")
async def test_a_lower_credential_is_challenged_for_a_higher_one(world: World) -> None:
    response = await world.get("/me", world.agent_token())
    assert (response.status, required(response).value) == (401, "person-token")
    assert response.headers.get("cache-control") == "no-store"
    served_ = await world.get("/me", world.person_token())
    assert (said(served_), served_.headers.get("cache-control")) == ({"sub": "dir-7f3a"}, "private")


async def test_several_rules_on_one_view_all_hold_and_are_one_verification(kind: str) -> None:
    world = World(replay=MemoryReplayCache())
    install(kind, world)
    assert said(await world.get("/team", world.agent_token())) == {"agent": AGENT}
    assert (await world.get("/team", world.agent_token(sub="aauth:other@ap.example"))).status == 403
    request = world.signed("POST", "/echo", world.agent_token(), body=b"once")
    assert [(await world.call(request)).status for _ in range(2)] == [200, 401]


@pytest.mark.spec("#requirement-auth-token")
@pytest.mark.spec("#account-binding")
async def test_the_resource_token_names_scope_and_account_and_a_grant_opens_no_other_account(world: World) -> None:
    response = await world.get("/calendar/work", world.person_token())
    token = await world.read_resource_token(response)
    assert (token.scope, token.account) == (("calendar.read",), "work")
    grant = world.auth_token("calendar.read", account="work")
    assert said(await world.get("/calendar/work", grant)) == {"account": "work", "scope": ["calendar.read"]}
    assert (await world.get("/calendar/home", grant)).status == 401


# ------------------------------------------------------------------------- bodies and responses


async def test_the_view_reads_the_body_whether_the_signature_covers_it_or_not(world: World) -> None:
    for covered in (True, False):
        response = await world.post("/echo", HWK.of(world.agent.public), body=b"all of it", cover_body=covered)
        assert (response.status, response.body) == (200, b"all of it")


async def test_a_changed_body_does_not_reach_the_view(world: World) -> None:
    request = world.signed("POST", "/echo", body=b"mine")
    changed = Request(request.method, request.url, request.headers, b"his!")
    assert (await world.call(changed)).status == 401


async def test_a_covered_body_that_is_too_large_is_refused_as_such(world: World) -> None:
    assert (await world.post("/echo", body=b"x" * 5000)).status == 413


async def test_a_streamed_response_passes_through(world: World) -> None:
    response = await world.get("/stream")
    assert (response.body, response.headers.get("cache-control")) == (b"012", "private")


async def test_an_error_of_the_view_is_the_frameworks_business(world: World, kind: str) -> None:
    with quiet("tested" if kind == "flask" else "django.request"):
        assert (await world.get("/broken")).status == 500


async def test_a_target_with_a_query_and_an_encoded_character_verifies(world: World) -> None:
    response = await world.get("/calendar/w%C3%B6rk?a=%20b", world.auth_token("calendar.read", account="wörk"))
    assert (response.status, said(response)["account"]) == (200, "wörk")


# ------------------------------------------------------------------------- the protocol's own paths


@pytest.mark.spec("#resource-metadata")
async def test_the_metadata_and_the_keys_are_served(world: World) -> None:
    document = await world.unsigned("GET", "/.well-known/aauth-resource.json")
    assert said(document)["issuer"] == world.issuer
    keys = await world.unsigned("GET", "/aauth/jwks.json")
    assert said(keys)["keys"][0]["kid"] == world.key.kid
    assert (await world.unsigned("DELETE", "/aauth/jwks.json")).status == 405


@pytest.mark.spec("#deferred-auth-token")
async def test_a_held_call_runs_once_with_the_grant_presented_at_its_pending_url(world: World) -> None:
    body = b'{"title":"Lunch"}'
    held = await world.post("/events", world.person_token(), body=body)
    assert (held.status, required(held).value) == (202, "auth-token")
    assert served == []
    pending = (held.headers.get("location") or "").removeprefix(world.issuer)
    done = await world.get(pending, world.auth_token("calendar.write"))
    assert (done.status, said(done)) == (201, {"created": "Lunch"})
    assert (done.headers.get("set-cookie") or "").startswith("seen=yes")
    ((title, grant),) = served
    assert (title, grant.has_scope("calendar.write")) == ("Lunch", True)


@pytest.mark.spec("#user-interaction")
async def test_a_managed_session_is_asked_for_on_the_resources_own_page(world: World) -> None:
    response = await world.get("/managed", world.agent_token())
    assert (response.status, required(response).value) == (202, "interaction")
    page = await world.unsigned("GET", (required(response).url or "").removeprefix(world.issuer))
    assert page.status == 200
    assert b"<form" in page.body
    assert page.headers.get("set-cookie") is not None


# ------------------------------------------------------------------------- mistakes


async def test_a_rule_the_resource_was_not_set_up_for_is_a_configuration_error(kind: str) -> None:
    world = World(policy=Policy([]), account_holder=None)
    if kind == "flask":
        with pytest.raises(ConfigurationError, match="account_holder"):
            install(kind, world)
    else:  # Django's views are declared before its settings are complete: the first request finds out
        install(kind, world)
        with quiet("django.request"):
            assert (await world.get("/calendar/work", world.person_token())).status == 500


async def test_a_policy_in_one_place_refuses_what_it_does_not_name(kind: str) -> None:
    world = World()
    policy = Policy([Route("GET", "/me", person())])
    if kind == "flask":
        bare = flask.Flask("bare")
        bare.add_url_rule("/me", view_func=lambda: str(flask.request.environ["aauth"].person[1]), endpoint="me")
        _by_wsgi(world, AAuthMiddleware(bare.wsgi_app, world.resource, policy))
    else:
        install(kind, world, policy=policy)
    assert (await world.get("/open", world.person_token())).status == 404
    assert (await world.get("/me", world.agent_token())).status == 401
    assert b"dir-7f3a" in (await world.get("/me", world.person_token())).body


def test_without_a_raw_target_the_usual_encoding_verifies(kind: str) -> None:
    world = World()
    app = install(kind, world)
    if kind == "django-asgi":
        pytest.skip("ASGI hands the target on as it came")
    request = world.signed("GET", "/calendar/work?a=b", world.auth_token("calendar.read", account="work"))
    assert call_wsgi(app, request, raw=False).status == 200


def test_the_rules_are_checked_when_the_view_is_declared(kind: str) -> None:
    if kind != "flask":
        pytest.skip("Django's settings are read with the first request")
    world = World()
    aauth = AAuth(flask.Flask("other"), resource=world.resource)
    with pytest.raises(ConfigurationError, match=r"calendar\.delete"):
        aauth.requires(authorized("calendar.delete"))
    with pytest.raises(ConfigurationError, match="Give AAuth either"):
        AAuth(resource=world.resource, issuer="https://api.example")
    aauth.requires(identified())
