"""The trust ladder over the middleware: every rung, every challenge, every way to steal (#resource-tokens)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aauthlib.errors import ConfigurationError, TokenInvalid
from aauthlib.keys import SigningKey
from aauthlib.messages.headers import parse_signature_error
from aauthlib.resource import Policy, Route, authorized, managed
from aauthlib.tokens import AGENT_DWK, PERSON_DWK
from aauthlib.verification import Level
from tests.resource.world import AGENT, AP, AS, PERSON, PS, RESOURCE, Clock, World, requirement_of


def code_of(response: object) -> str | None:
    error = parse_signature_error(response.headers)  # type: ignore[attr-defined]
    return None if error is None else error.code


# ---------------------------------------------------------------- climbing the ladder


async def test_an_anonymous_caller_is_served_where_anybody_is(world: World) -> None:
    response = await world.unsigned("GET", "/events")
    assert (response.status, response.body) == (200, b"served")
    assert world.app.grants[0].level is Level.ANONYMOUS


@pytest.mark.spec("signature-key#4.1", "#scheme-rejection")
async def test_a_route_for_pseudonyms_asks_for_any_signature(world: World) -> None:
    response = await world.unsigned("GET", "/hello")
    assert response.status == 401
    assert response.headers.get("aauth-requirement") == "requirement=pseudonym"
    assert response.headers.get("accept-signature-scheme") == "hwk, jkt-jwt, jwt"
    assert response.headers.get("cache-control") == "no-store"
    assert world.app.calls == []


@pytest.mark.spec("signature-key#3.4")
async def test_a_bare_key_is_a_pseudonym(world: World) -> None:
    response = await world.get("/hello")
    assert response.status == 200
    grant = world.app.grants[0]
    assert (grant.level, grant.pseudonym, grant.agent) == (Level.PSEUDONYM, world.agent.thumbprint, None)


@pytest.mark.spec("signature-key#3.5")
async def test_a_delegated_key_is_known_by_its_durable_key(world: World) -> None:
    durable = SigningKey.generate()
    assert (await world.get("/hello", world.delegated(durable))).status == 200
    assert world.app.grants[0].pseudonym == durable.thumbprint


@pytest.mark.spec("#requirement-agent-token")
async def test_a_pseudonym_is_asked_for_its_agent_token(world: World) -> None:
    for response in (await world.unsigned("GET", "/agents"), await world.get("/agents")):
        assert response.status == 401
        assert response.headers.get("aauth-requirement") == "requirement=agent-token"


@pytest.mark.spec("#agent-token-verification")
async def test_an_agent_is_known_by_its_provider(world: World) -> None:
    assert (await world.get("/agents", world.agent_token())).status == 200
    assert world.app.grants[0].agent == (AP, AGENT)


@pytest.mark.spec("signature-key#3.6")
async def test_a_server_in_its_own_right_is_identified(world: World) -> None:
    response = await world.get("/agents", world.as_server(PS, PERSON_DWK, world.ps), key=world.ps)
    assert response.status == 200
    assert world.app.grants[0].server == PS


async def test_an_agent_that_is_not_on_the_list_is_refused_without_signature_headers(world: World) -> None:
    response = await world.get("/friends", world.agent_token(sub="aauth:stranger@ap.example"))
    assert response.status == 403
    assert code_of(response) is None
    assert "aauth-requirement" not in response.headers
    assert "accept-signature-scheme" not in response.headers
    assert (await world.get("/friends", world.agent_token())).status == 200


async def test_a_person_token_does_not_say_which_agent_calls_so_a_list_of_agents_asks_for_the_agent(
    world: World,
) -> None:
    assert requirement_of(await world.get("/friends", world.person_token())) == "agent-token"


@pytest.mark.spec("#requirement-person-token")
@pytest.mark.parametrize("target", ["/me", "/private"])
async def test_whoever_names_no_person_is_asked_for_a_person_token(world: World, target: str) -> None:
    for response in (
        await world.unsigned("GET", target),
        await world.get(target),
        await world.get(target, world.agent_token()),
    ):
        assert response.status == 401
        assert response.headers.get("aauth-requirement") == "requirement=person-token"


@pytest.mark.spec("#person-token-verification")
async def test_a_person_is_known_by_issuer_and_subject_and_their_record_is_established(world: World) -> None:
    token = world.person_token(tenant="acme", mission_s256="abc")
    assert (await world.get("/me", token)).status == 200
    grant = world.app.grants[0]
    assert (grant.person, grant.tenant, grant.mission_s256, grant.user) == ((PS, PERSON), "acme", "abc", None)
    await world.store.link_person(PS, PERSON, "user-1")
    assert (await world.get("/me", token)).status == 200
    assert world.app.grants[1].user == "user-1"


@pytest.mark.spec("#requirement-auth-token", "#resource-token-structure")
async def test_a_person_is_asked_for_an_auth_token_with_a_resource_token_that_names_everything(world: World) -> None:
    person = world.person_token(jti="the-person-token", tenant="acme", mission_s256="mission")
    response = await world.get("/private", person)
    assert response.status == 401
    token = await world.read_resource_token(response)
    assert (token.iss, token.aud, token.ps, token.sub) == (RESOURCE, PS, PS, PERSON)
    assert (token.presented_jti, token.agent_jkt) == ("the-person-token", world.agent.thumbprint)
    assert (token.scope, token.tenant, token.mission_s256) == (("calendar.read",), "acme", "mission")
    assert token.exp - token.iat == 300
    assert world.app.calls == []


@pytest.mark.spec("#auth-token-usage", "#scopes")
async def test_an_auth_token_with_the_scope_is_served(world: World) -> None:
    assert (await world.get("/private", world.auth_token("calendar.read", claims={"email": "a@example"}))).status == 200
    grant = world.app.grants[0]
    assert (grant.level, grant.scope, grant.person) == (Level.AUTHORIZED, {"calendar.read"}, (PS, PERSON))
    assert grant.has_scope("calendar.read")
    assert not grant.has_scope("calendar.write")
    assert grant.claims["email"] == "a@example"


@pytest.mark.spec("#requirement-auth-token", "#incremental-consent")
async def test_a_step_up_asks_for_what_was_granted_and_what_is_missing_against_the_auth_token(world: World) -> None:
    auth = world.auth_token("calendar.read", "email", "unknown", jti="the-auth-token")
    token = await world.read_resource_token(await world.post("/events", auth))
    assert token.scope == ("calendar.read", "email", "calendar.write")
    assert (token.presented_jti, token.ps) == ("the-auth-token", PS)


@pytest.mark.spec("#resource-token")
async def test_a_resource_token_does_not_outlive_the_token_it_was_issued_against(world: World) -> None:
    person = world.person_token(not_after=world.clock() + 90)
    token = await world.read_resource_token(await world.get("/private", person))
    assert token.exp == world.clock() + 90


@pytest.mark.parametrize("target", ["/events", "/hello", "/agents", "/me", "/private"])
async def test_a_higher_credential_satisfies_every_lower_level(world: World, target: str) -> None:
    assert (await world.get(target, world.auth_token("calendar.read"))).status == 200


@pytest.mark.parametrize("target", ["/events", "/hello", "/agents", "/me"])
async def test_a_person_token_satisfies_every_level_below_an_auth_token(world: World, target: str) -> None:
    assert (await world.get(target, world.person_token())).status == 200


@pytest.mark.spec("#person-token-not-authorization")
async def test_a_person_token_is_never_an_auth_token_whatever_its_issuer_put_into_it(world: World) -> None:
    assert requirement_of(await world.get("/private", world.person_token())) == "auth-token"
    assert world.app.calls == []


@pytest.mark.spec("#scopes")
async def test_an_auth_token_without_the_scope_is_not_served(world: World) -> None:
    for token in (world.auth_token("calendar.share"), world.auth_token("calendar.rea"), world.auth_token()):
        assert requirement_of(await world.get("/private", token)) == "auth-token"
    assert world.app.calls == []


async def test_a_route_that_is_not_in_the_policy_is_closed(world: World) -> None:
    for response in (
        await world.unsigned("GET", "/admin"),
        await world.get("/admin", world.auth_token("calendar.read")),
    ):
        assert response.status == 404
    wrong_method = await world.unsigned("DELETE", "/events")
    assert (wrong_method.status, wrong_method.headers.get("allow")) == (405, "GET, HEAD, POST")
    assert world.app.calls == []


async def test_head_is_governed_by_the_route_for_get(world: World) -> None:
    assert requirement_of(await world.unsigned("HEAD", "/me")) == "person-token"


# ---------------------------------------------------------------- no bearer path


@pytest.mark.spec("#proof-of-possession")
async def test_a_token_as_bearer_is_worth_nothing(world: World) -> None:
    token = world.auth_token("calendar.read")
    response = await world.unsigned("GET", "/private", headers=[("authorization", f"Bearer {token}")])
    assert requirement_of(response) == "person-token"
    assert (await world.unsigned("GET", "/events", headers=[("authorization", f"Bearer {token}")])).status == 200
    assert world.app.grants[0].level is Level.ANONYMOUS


@pytest.mark.spec("#proof-of-possession", "signature-key#7.8")
@pytest.mark.parametrize("kind", ["agent", "person", "auth"])
async def test_a_stolen_token_signed_by_another_key_is_refused(world: World, kind: str) -> None:
    token = {"agent": world.agent_token(), "person": world.person_token(), "auth": world.auth_token("calendar.read")}[
        kind
    ]
    response = await world.get("/events", token, key=world.other)
    assert (response.status, code_of(response)) == (401, "invalid_signature")
    assert world.app.calls == []


@pytest.mark.spec("#verification", "#covered-components")
async def test_a_captured_request_is_worth_nothing_for_another_method_path_host_or_body(world: World) -> None:
    token = world.auth_token("calendar.read", "calendar.write")
    good = world.signed("POST", "/events", token, body=b'{"title":"lunch"}')
    assert (await world.call(good)).status == 200
    world.app.calls.clear()
    for stolen in (
        replace(good, method="GET"),
        replace(good, url=RESOURCE + "/held"),
        replace(good, body=b'{"title":"theft"}'),
        world.signed("POST", "/events", token, body=b"{}", origin="https://other.example"),
    ):
        response = await world.call(stolen)
        assert (response.status, code_of(response)) == (401, "invalid_signature")
    assert world.app.calls == []


@pytest.mark.spec("#covered-components")
async def test_the_host_header_has_no_say_in_what_was_signed(world: World) -> None:
    request = world.signed("GET", "/private", world.auth_token("calendar.read"), origin="https://other.example")
    response = await world.call(request.with_headers(host="other.example", x_forwarded_host="other.example"))
    assert (response.status, code_of(response)) == (401, "invalid_signature")


@pytest.mark.spec("#freshness-and-replay")
async def test_a_captured_request_is_worth_nothing_after_a_minute(world: World) -> None:
    request = world.signed("GET", "/private", world.auth_token("calendar.read"))
    world.clock.now += 61
    assert code_of(await world.call(request)) == "invalid_signature"
    ahead = world.signed("GET", "/private", world.auth_token("calendar.read"), created=int(world.clock()) + 120)
    assert code_of(await world.call(ahead)) == "clock_skew"


@pytest.mark.spec("#covered-components", "#verification")
@pytest.mark.parametrize("dropped", ['"@method"', '"@authority"', '"@path"', '"signature-key"'])
async def test_a_signature_that_does_not_cover_everything_is_refused_and_told_what_is_missing(
    world: World, dropped: str
) -> None:
    request = world.signed("GET", "/private", world.auth_token("calendar.read"))
    inputs = (request.headers.get("signature-input") or "").replace(dropped, "").replace("( ", "(").replace("  ", " ")
    response = await world.call(request.with_headers(signature_input=inputs.replace(" )", ")")))
    error = parse_signature_error(response.headers)
    assert (response.status, error.code if error else None) == (401, "invalid_input")
    assert dropped.strip('"') in getattr(error, "required_input", ())


@pytest.mark.spec("#covered-components", "#resource-metadata")
async def test_components_the_resource_asks_for_cannot_be_left_out() -> None:
    world = World(additional_signature_components=["content-digest", "content-type"])
    token = world.auth_token("calendar.write")
    assert world.resource.metadata().additional_signature_components == ["content-digest", "content-type"]
    assert code_of(await world.post("/events", token, cover_body=False)) == "invalid_input"
    assert (await world.post("/events", token)).status == 200


@pytest.mark.spec("#verification")
@pytest.mark.parametrize("missing", ["signature", "signature_input", "signature_key"])
async def test_half_a_signature_is_no_anonymous_request(world: World, missing: str) -> None:
    request = world.signed("GET", "/events").with_headers(**{missing: None})
    assert code_of(await world.call(request)) == "invalid_signature"


@pytest.mark.spec("#scheme-rejection", "signature-key#4.4")
async def test_an_unknown_scheme_is_told_every_scheme_that_is_accepted(world: World) -> None:
    request = world.signed("GET", "/events").with_headers(signature_key='sig=x509;x5u="https://a.example/c"')
    response = await world.call(request)
    assert code_of(response) == "unsupported_scheme"
    assert response.headers.get("accept-signature-scheme") == "jwt, hwk, jkt-jwt, jwks_uri"


# ---------------------------------------------------------------- tokens that are not for here


@pytest.mark.spec("#person-token-verification", "#request-context-binding")
async def test_a_token_for_another_resource_is_refused(world: World) -> None:
    for token in (
        world.person_token(aud="https://other.example"),
        world.auth_token("calendar.read", aud="https://other.example"),
    ):
        response = await world.get("/events", token)
        assert (response.status, code_of(response)) == (401, "invalid_jwt")
    assert world.app.calls == []


@pytest.mark.spec("#common-verification")
async def test_an_expired_token_is_said_to_have_expired(world: World) -> None:
    token = world.auth_token("calendar.read")
    assert (await world.get("/private", token)).status == 200
    world.clock.now += 3600
    assert code_of(await world.get("/private", token)) == "expired_jwt"


@pytest.mark.spec("#jwt-trust-verification", "#trust-posture-in-ps-asserted-access")
async def test_an_access_server_nobody_chose_cannot_grant_anything(world: World) -> None:
    response = await world.get("/private", world.access_token("calendar.read"))
    assert (response.status, code_of(response)) == (401, "invalid_jwt")


@pytest.mark.spec("#jwt-trust-verification", "#resource-token")
async def test_with_an_access_server_a_person_server_cannot_grant_past_it() -> None:
    world = World(access_server=AS)
    assert code_of(await world.get("/private", world.auth_token("calendar.read"))) == "invalid_jwt"
    assert (await world.get("/private", world.access_token("calendar.read"))).status == 200
    assert world.app.grants[0].person == (PS, PERSON)
    token = await world.read_resource_token(await world.get("/private", world.person_token()))
    assert (token.aud, token.ps) == (AS, PS)


async def test_persons_of_other_person_servers_can_be_kept_out() -> None:
    world = World(person_servers=["https://other.example"])
    response = await world.get("/me", world.person_token())
    assert (response.status, code_of(response)) == (403, None)


# ---------------------------------------------------------------- accounts and identity scopes


@pytest.mark.spec("#account-binding")
async def test_a_grant_at_one_account_is_nothing_at_another() -> None:
    world = World()
    token = world.auth_token("calendar.read", account="work")
    assert (await world.get("/accounts/work/events", token)).status == 200
    assert world.app.grants[0].account == "work"
    challenge = await world.read_resource_token(await world.get("/accounts/home/events", token))
    assert (challenge.account, challenge.scope) == ("home", ("calendar.read",))
    for unbound in (world.auth_token("calendar.read"), world.auth_token("calendar.read", account="wor")):
        assert requirement_of(await world.get("/accounts/work/events", unbound)) == "auth-token"


@pytest.mark.spec("#account-binding", "#authorization-endpoint-error-responses")
async def test_nobody_is_asked_about_an_account_they_do_not_hold() -> None:
    world = World()
    response = await world.get("/accounts/boss/events", world.person_token())
    assert (response.status, response.json()["error"]) == (400, "invalid_account")


@pytest.mark.spec("#scopes")
async def test_identity_scopes_are_asked_for_only_where_the_person_server_offers_them() -> None:
    world = World(
        policy=Policy([Route("GET", "/mail", authorized("email")), Route("GET", "/home", authorized("address"))])
    )
    token = await world.read_resource_token(await world.get("/mail", world.person_token()))
    assert token.scope == ("email",)
    response = await world.get("/home", world.person_token())
    assert (response.status, response.json()["error"]) == (400, "invalid_scope")


async def test_a_person_server_that_cannot_be_asked_is_a_matter_of_time() -> None:
    world = World(policy=Policy([Route("GET", "/mail", authorized("email"))]))
    del world.directory._metadata[PS]
    response = await world.get("/mail", world.person_token())
    assert (response.status, response.headers.get("retry-after")) == (503, "5")


# ---------------------------------------------------------------- the authorization endpoint


@pytest.mark.spec("#authorization-endpoint-request", "#response-with-resource-token")
async def test_the_authorization_endpoint_gives_a_resource_token_before_any_call() -> None:
    world = World()
    body = b'{"scope":"calendar.read calendar.write","account":"work"}'
    response = await world.post("/aauth/authorize", world.person_token(jti="p"), body=body)
    assert response.status == 200
    header = f'requirement=auth-token;resource-token="{response.json()["resource_token"]}"'
    token = await world.read_resource_token(type(response)(401, response.headers.with_(aauth_requirement=header)))
    assert (token.scope, token.account, token.presented_jti) == (("calendar.read", "calendar.write"), "work", "p")


@pytest.mark.spec("#authorization-endpoint-request", "#requirement-person-token")
async def test_the_authorization_endpoint_wants_a_person_token(world: World) -> None:
    body = b'{"scope":"calendar.read"}'
    for response in (
        await world.unsigned("POST", "/aauth/authorize", body=body),
        await world.post("/aauth/authorize", world.agent_token(), body=body),
        await world.post("/aauth/authorize", world.auth_token("calendar.read"), body=body),
    ):
        assert (response.status, requirement_of(response)) == (401, "person-token")


@pytest.mark.spec("#authorization-endpoint-error-responses")
@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"scope":"calendar.read admin"}', "invalid_scope"),
        (b'{"scope":"address"}', "invalid_scope"),
        (b'{"scope":"calendar.read","account":"boss"}', "invalid_account"),
        (b'{"scope":""}', "invalid_request"),
        (b'{"scope":" "}', "invalid_request"),
        (b'{"scope":7}', "invalid_request"),
        (b'{"account":"work"}', "invalid_request"),
        (b'{"scope":"calendar.read","account":""}', "invalid_request"),
        (b"{", "invalid_request"),
        (b"\xff\xfe", "invalid_request"),
        (b"[]", "invalid_request"),
    ],
)
async def test_the_authorization_endpoint_names_what_is_wrong(world: World, body: bytes, error: str) -> None:
    response = await world.post("/aauth/authorize", world.person_token(), body=body)
    assert (response.status, response.json()["error"]) == (400, error)
    assert response.headers.get("content-type") == "application/problem+json"


# ---------------------------------------------------------------- revocation


@pytest.mark.spec("#presenting-a-revoked-token", "#token-revocation")
async def test_a_revoked_auth_token_is_said_to_be_revoked_and_never_gets_a_resource_token(world: World) -> None:
    token = world.auth_token("calendar.read", jti="gone")
    assert (await world.get("/private", token)).status == 200
    response = await world.call(world.revocation("gone", int(world.clock()) + 3600))
    assert (response.status, response.body, response.headers.get("content-type")) == (200, b"", None)
    for target in ("/private", "/events"):
        refused = await world.get(target, token)
        assert (refused.status, code_of(refused)) == (401, "revoked_jwt")
        assert refused.headers.get("aauth-requirement") == "requirement=person-token"
    assert code_of(await world.post("/events", token)) == "revoked_jwt"


@pytest.mark.spec("#presenting-a-revoked-token", "#who-revokes-what")
async def test_a_revoked_person_token_is_refused_and_no_resource_token_names_it(world: World) -> None:
    token = world.person_token(jti="gone")
    await world.call(world.revocation("gone", int(world.clock()) + 3600))
    for response in (
        await world.get("/me", token),
        await world.get("/private", token),
        await world.post("/aauth/authorize", token, body=b'{"scope":"calendar.read"}'),
    ):
        assert (response.status, code_of(response), requirement_of(response)) == (401, "revoked_jwt", None)


@pytest.mark.spec("#revocation-request")
async def test_a_server_revokes_its_own_tokens_only() -> None:
    world = World(access_server=AS)
    token = world.person_token(jti="same-jti")
    assert (
        await world.call(world.revocation("same-jti", int(world.clock()) + 60, issuer=AS, dwk="aauth-access.json"))
    ).status == 200
    assert (await world.get("/me", token)).status == 200


@pytest.mark.spec("#revocation-response", "#who-revokes-what")
async def test_only_person_servers_and_the_own_access_server_revoke_here(world: World) -> None:
    exp = int(world.clock()) + 60
    for response in (
        await world.call(world.revocation("x", exp, issuer=AP, dwk=AGENT_DWK)),
        await world.call(world.revocation("x", exp, issuer=AS, dwk="aauth-access.json")),
    ):
        assert (response.status, response.json()["error"]) == (403, "unsupported_iss")


@pytest.mark.spec("#revocation-request", "#covered-components")
async def test_a_revocation_is_signed_by_a_server_and_covers_its_body(world: World) -> None:
    exp = int(world.clock()) + 60
    body = b'{"jti":"x","exp":%d}' % exp
    assert code_of(await world.call(world.revocation("x", exp, cover_body=False))) == "invalid_input"
    assert code_of(await world.unsigned("POST", "/aauth/revoke", body=body)) == "invalid_signature"
    by_agent = await world.post("/aauth/revoke", world.agent_token(), body=body)
    assert code_of(by_agent) == "unsupported_scheme"
    assert by_agent.headers.get("accept-signature-scheme") == "jwks_uri"
    forged = world.signed(
        "POST", "/aauth/revoke", world.as_server(PS, PERSON_DWK, world.ps), key=world.other, body=body
    )
    assert code_of(await world.call(forged)) == "invalid_signature"


@pytest.mark.spec("#revocation-response")
@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"jti":"x"}',
        b'{"jti":7,"exp":1}',
        b'{"jti":"","exp":1}',
        b'{"jti":"x","exp":-1}',
        b"nope",
        b'{"jti":"x","exp":99999999999}',
    ],
)
async def test_a_malformed_revocation_is_an_invalid_request(world: World, body: bytes) -> None:
    request = world.signed("POST", "/aauth/revoke", world.as_server(PS, PERSON_DWK, world.ps), key=world.ps, body=body)
    response = await world.call(request)
    assert (response.status, response.json()["error"]) == (400, "invalid_request")


@pytest.mark.spec("#revocation-response")
async def test_a_token_nobody_saw_is_revoked_all_the_same_and_again(world: World) -> None:
    for _ in range(2):
        assert (await world.call(world.revocation("never-seen", int(world.clock()) + 60))).status == 200
    assert (await world.call(world.revocation("long-over", int(world.clock()) - 9000))).status == 200


@pytest.mark.spec("#revocation-response")
async def test_one_server_cannot_send_revocations_without_end(world: World) -> None:
    exp = int(world.clock()) + 60
    statuses = [(await world.call(world.revocation(f"t{n}", exp))).status for n in range(602)]
    assert statuses[599] == 200
    assert statuses[-1] == 429


# ---------------------------------------------------------------- what it publishes, and how it is set up


@pytest.mark.spec("#resource-metadata")
async def test_metadata_and_keys_are_published(world: World) -> None:
    response = await world.unsigned("GET", "/.well-known/aauth-resource.json")
    document = response.json()
    assert response.status == 200
    assert (document["issuer"], document["name"]) == (RESOURCE, "Cal")
    assert document["authorization_endpoint"] == f"{RESOURCE}/aauth/authorize"
    assert document["revocation_endpoint"] == f"{RESOURCE}/aauth/revoke"
    assert document["scope_descriptions"]["calendar.read"] == "See your **events**."
    keys = await world.unsigned("GET", document["jwks_uri"].removeprefix(RESOURCE))
    assert keys.json()["keys"][0]["kid"] == world.key.kid
    assert "d" not in keys.json()["keys"][0]


@pytest.mark.spec("#resource-metadata-link")
def test_the_documentation_page_can_point_to_the_metadata(world: World) -> None:
    link = f'<{RESOURCE}/.well-known/aauth-resource.json>; rel="aauth-resource"'
    assert world.resource.documentation_link == link


@pytest.mark.spec("#resource-metadata")
async def test_a_resource_that_asks_for_no_auth_token_needs_no_key() -> None:
    world = World(policy=Policy([]), signing_key=None, scopes=None, sign_in=None)
    document = (await world.unsigned("GET", "/.well-known/aauth-resource.json")).json()
    assert "jwks_uri" not in document
    assert "authorization_endpoint" not in document


@pytest.mark.parametrize(
    ("rule", "settings"),
    [
        (authorized("unknown"), {}),
        (authorized("calendar.read"), {"signing_key": None}),
        (managed("calendar.read"), {"sign_in": None}),
        (managed("email"), {}),
    ],
)
def test_a_policy_that_cannot_work_is_refused_at_the_start(rule: object, settings: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        World(policy=Policy([Route("GET", "/x", rule)]), **settings)  # type: ignore[arg-type]


def test_an_account_route_without_a_hook_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError):
        World(policy=Policy([Route("GET", "/{a}", authorized("calendar.read", account="a"))]), account_holder=None)


@pytest.mark.parametrize("settings", [{"issuer": "http://x.example"}, {"prefix": "aauth"}, {"access_server": "nope"}])
def test_settings_that_cannot_work_are_refused(settings: dict[str, str]) -> None:
    from aauthlib.resource import MemoryResourceStore, Resource
    from tests.resource.world import Clock

    world = World()
    with pytest.raises(ConfigurationError):
        Resource(**{"issuer": RESOURCE, "wire": world.wire, "store": MemoryResourceStore(Clock()), **settings})  # type: ignore[arg-type]


@pytest.mark.spec("#who-revokes-what")
async def test_each_resource_token_is_told_and_only_ones_own_is_withdrawn() -> None:
    clock, told = Clock(), list[str]()
    world = World(clock=clock, on_resource_token=told.append)
    response = await world.get("/private", world.person_token())
    (text,) = told
    assert (await world.read_resource_token(response)).raw == text
    assert await world.resource.withdraw(text) == {PS: "revocation_unsupported"}
    other = World(clock=clock, issuer="https://other.example")
    with pytest.raises(TokenInvalid):
        await other.resource.withdraw(text)
    clock.now += 301
    assert await world.resource.withdraw(text) == {}, "nobody takes it any more"
