"""The three ceremonies of an agent provider, and everybody who should not get a token out of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest

from aauthlib import jws
from aauthlib.base64url import b64url_decode
from aauthlib.discovery import TransportError
from aauthlib.errors import (
    ExpiredJWT,
    InvalidInput,
    InvalidJWT,
    InvalidRequest,
    InvalidSignature,
    RateLimited,
    RevokedJWT,
    UnknownKey,
    UnsupportedAlgorithm,
    UnsupportedScheme,
)
from aauthlib.http import Request, Response
from aauthlib.httpsig import HWK, JKTJWT, JWT, sign
from aauthlib.identifiers import AgentIdentifier
from aauthlib.keys import SigningKey
from aauthlib.messages.metadata import AgentProviderMetadata, dump_metadata, read_metadata
from aauthlib.messages.problems import error_of, error_response
from aauthlib.provider import (
    AgentProvider,
    EnrollmentRefused,
    EnrollmentRevoked,
    EnrollmentUnknown,
    InvitationCodes,
)
from aauthlib.tokens import issue_agent_token, issue_jkt_jwt

AP = "https://ap.example"
PS = "https://ps.example"


@pytest.fixture
def durable() -> SigningKey:
    return SigningKey.generate()


# --------------------------------------------------------------------------- enrolment


@pytest.mark.spec("#agent-token-acquisition-overview", "#agent-token-structure", "#per-install-identity")
@pytest.mark.parametrize("alg", ["Ed25519", "ES256"])
async def test_enrolling_returns_an_agent_token_bound_to_the_key_that_signed(world: Any, alg: str) -> None:
    key = SigningKey.generate(alg)
    answer = await world.enroll(key, ps=PS, label="laptop")
    token = await world.verified(answer["agent_token"])
    assert (token.iss, token.sub, token.ps) == (AP, answer["agent"], PS)
    assert token.cnf == key.public
    assert token.parent_agent is None
    assert answer["expires_in"] == token.exp - token.iat == 3600


@pytest.mark.spec("#per-install-identity")
async def test_a_first_enrolment_is_created_and_a_repeated_one_is_the_same_agent(world: Any, durable: Any) -> None:
    first = await world.provider.enroll(world.request("/enroll", {"label": "one"}, durable))
    again = await world.provider.enroll(world.request("/enroll", {"label": "two"}, durable))
    assert (first.status, again.status) == (201, 200)
    assert first.json()["agent"] == again.json()["agent"]
    assert [install.label for install in await world.provider.installs()] == ["one"]


@pytest.mark.spec("#identifier-strategies", "#agent-identifiers")
async def test_every_install_is_another_agent_with_an_identifier_that_tells_nothing(world: Any) -> None:
    agents = [(await world.enroll(SigningKey.generate(), label="same"))["agent"] for _ in range(5)]
    assert len(set(agents)) == 5
    for agent in agents:
        parsed = AgentIdentifier.parse(agent)
        assert parsed.domain == "ap.example"
        assert len(parsed.local) == 26
        assert parsed.local.isalnum()
        assert parsed.local == parsed.local.lower()


@pytest.mark.spec("#covered-components")
async def test_an_enrolment_whose_body_is_not_covered_is_refused(world: Any, durable: Any) -> None:
    with pytest.raises(InvalidInput) as raised:
        await world.provider.enroll(world.request("/enroll", {}, durable, cover_body=False))
    assert {"content-digest", "content-type"} <= set(raised.value.required_input)


@pytest.mark.spec("#covered-components")
async def test_a_body_changed_on_the_way_is_refused(world: Any, durable: Any) -> None:
    request = world.request("/enroll", {"ps": PS}, durable)
    with pytest.raises(InvalidSignature, match="Content-Digest"):
        await world.provider.enroll(dataclasses.replace(request, body=request.body.replace(b"ps.ex", b"xx.ex")))


@pytest.mark.spec("#verification")
async def test_a_substituted_key_is_refused(world: Any, durable: Any) -> None:
    request = world.request("/enroll", {}, durable)
    other = world.request("/enroll", {}, SigningKey.generate())
    with pytest.raises(InvalidSignature):
        await world.provider.enroll(request.with_headers(signature_key=other.headers.get("signature-key")))
    assert not await world.provider.installs()


@pytest.mark.spec("#verification")
async def test_an_unsigned_enrolment_is_refused_with_a_reason(world: Any) -> None:
    with pytest.raises(InvalidSignature, match="hwk"):
        await world.provider.enroll(Request("POST", AP + "/enroll", body=b"{}"))


@pytest.mark.spec("#scheme-rejection")
async def test_enrolment_takes_no_other_scheme_than_hwk(world: Any, durable: Any) -> None:
    answer = await world.enroll(durable)
    with pytest.raises(UnsupportedScheme) as raised:
        await world.provider.enroll(world.request("/enroll", {}, durable, JWT(answer["agent_token"])))
    assert raised.value.accepted == ("hwk",)


@pytest.mark.spec("#signature-algorithms")
async def test_a_key_without_a_fully_specified_algorithm_cannot_enrol(world: Any, durable: Any) -> None:
    jwk = {name: value for name, value in durable.public.jwk.items() if name != "alg"}
    for polymorphic in (jwk, {**jwk, "alg": "EdDSA"}):
        with pytest.raises(UnsupportedAlgorithm):
            await world.provider.enroll(world.request("/enroll", {}, durable, HWK(polymorphic)))


@pytest.mark.spec("#untrusted-input", "#error-response-format")
@pytest.mark.parametrize(
    "body",
    [
        [],
        None,
        {"ps": 5},
        {"ps": "http://ps.example"},
        {"ps": "https://ps.example/"},
        {"ps": ""},
        {"label": ""},
        {"label": "x" * 65},
        {"label": "line\nbreak"},
        {"label": "evil\u202etxt"},
        {"invitation": "x" * 257},
        {"invitation": 7},
    ],
)
async def test_a_malformed_enrolment_is_an_invalid_request(world: Any, durable: Any, body: object) -> None:
    with pytest.raises(InvalidRequest):
        await world.provider.enroll(world.request("/enroll", body, durable))
    assert not await world.provider.installs()


@pytest.mark.spec("#agent-token-structure")
async def test_a_provider_can_limit_the_person_servers_its_agents_name(world: Any, durable: Any) -> None:
    provider = world.make(person_servers=[PS])
    with pytest.raises(InvalidRequest, match="does not work with"):
        await provider.enroll(world.request("/enroll", {"ps": "https://other.example"}, durable))
    assert (await provider.enroll(world.request("/enroll", {"ps": PS}, durable))).status == 201
    with pytest.raises(InvalidRequest, match="does not work with"):
        await provider.refresh(world.request("/refresh", {"ps": "https://other.example"}, durable))


@pytest.mark.spec("#per-platform-enrollment-sketches")
@pytest.mark.parametrize("invitation", [None, "", "wrong", "come-i", "come-in "])
async def test_without_a_valid_invitation_nobody_enrols(world: Any, durable: Any, invitation: str | None) -> None:
    provider = world.make(gate=InvitationCodes(["come-in", "second"]))
    with pytest.raises(EnrollmentRefused, match="invitation"):
        await provider.enroll(world.request("/enroll", {"invitation": invitation}, durable))
    assert not await provider.installs()


@pytest.mark.spec("#per-platform-enrollment-sketches")
async def test_an_invitation_admits_and_is_not_asked_for_again(world: Any, durable: Any) -> None:
    provider = world.make(gate=InvitationCodes(["come-in", "second"]))
    assert (await provider.enroll(world.request("/enroll", {"invitation": "second"}, durable))).status == 201
    assert (await provider.enroll(world.request("/enroll", {}, durable))).status == 200


@pytest.mark.spec("#error-response-format")
async def test_guessing_invitations_is_cut_short(world: Any) -> None:
    provider = world.make(gate=InvitationCodes(["come-in"]), refused_per_minute=3)
    for _ in range(3):
        with pytest.raises(EnrollmentRefused):
            await provider.enroll(world.request("/enroll", {"invitation": "?"}, SigningKey.generate()))
    with pytest.raises(RateLimited) as raised:
        await provider.enroll(world.request("/enroll", {"invitation": "come-in"}, SigningKey.generate()))
    world.clock.now += raised.value.retry_after_s
    admitted = await provider.enroll(world.request("/enroll", {"invitation": "come-in"}, SigningKey.generate()))
    assert admitted.status == 201


@pytest.mark.spec("#error-response-format")
async def test_enrolments_are_limited_in_rate_but_known_keys_are_not_shut_out(world: Any, durable: Any) -> None:
    provider = world.make(enrollments_per_minute=2)
    await provider.enroll(world.request("/enroll", {}, durable))
    await provider.enroll(world.request("/enroll", {}, SigningKey.generate()))
    with pytest.raises(RateLimited):
        await provider.enroll(world.request("/enroll", {}, SigningKey.generate()))
    assert (await provider.enroll(world.request("/enroll", {}, durable))).status == 200


@pytest.mark.spec("#error-response-format")
async def test_a_client_reads_why_it_was_refused(world: Any, durable: Any) -> None:
    provider = world.make(gate=InvitationCodes(["come-in"]))
    with pytest.raises(EnrollmentRefused) as raised:
        await provider.enroll(world.request("/enroll", {}, durable))
    response = error_response(raised.value)
    assert response.status == 403
    assert response.json()["error"] == "enrollment_refused"
    assert "invitation" in error_of(response).detail


# --------------------------------------------------------------------------- refresh


@pytest.mark.spec("#two-key-refresh", "#identifier-strategies")
@pytest.mark.parametrize("alg", ["Ed25519", "ES256"])
async def test_a_two_key_refresh_binds_the_same_agent_to_the_new_key(world: Any, alg: str) -> None:
    durable, ephemeral = SigningKey.generate(alg), SigningKey.generate()
    enrolled = await world.enroll(durable, ps=PS)
    response = await world.provider.refresh(world.two_key(durable, ephemeral))
    token = await world.verified(response.json()["agent_token"])
    assert token.cnf == ephemeral.public
    assert (token.sub, token.ps) == (enrolled["agent"], PS)


@pytest.mark.spec("#single-key-refresh")
async def test_a_single_key_refresh_carries_the_durable_key_through(world: Any, durable: Any) -> None:
    enrolled = await world.enroll(durable)
    world.clock.now += 3000
    response = await world.provider.refresh(world.request("/refresh", {"ps": PS}, durable))
    token = await world.verified(response.json()["agent_token"])
    assert token.cnf == durable.public
    assert (token.sub, token.ps, token.iat) == (enrolled["agent"], PS, world.clock.now)


@pytest.mark.spec("#two-key-refresh")
async def test_a_refresh_needs_no_body(world: Any, durable: Any) -> None:
    await world.enroll(durable)
    bare = Request("POST", AP + "/refresh")
    response = await world.provider.refresh(sign(bare, durable, HWK.of(durable.public), created=int(world.clock())))
    assert response.status == 200


@pytest.mark.spec("#agent-token-structure")
async def test_each_token_has_its_own_jti(world: Any, durable: Any) -> None:
    tokens = [(await world.enroll(durable))["agent_token"] for _ in range(3)]
    assert len({(await world.verified(token)).jti for token in tokens}) == 3


@pytest.mark.spec("#two-key-refresh")
async def test_a_key_that_never_enrolled_gets_no_token(world: Any, durable: Any) -> None:
    await world.enroll(durable)
    stranger = SigningKey.generate()
    for request in (world.request("/refresh", {}, stranger), world.two_key(stranger, SigningKey.generate())):
        with pytest.raises(EnrollmentUnknown):
            await world.provider.refresh(request)


@pytest.mark.spec("#two-key-refresh", "#ephemeral-key-compromise")
async def test_a_leaked_ephemeral_key_cannot_refresh(world: Any, durable: Any) -> None:
    await world.enroll(durable)
    leaked = SigningKey.generate()
    await world.provider.refresh(world.two_key(durable, leaked))
    with pytest.raises(EnrollmentUnknown):
        await world.provider.refresh(world.request("/refresh", {}, leaked))
    with pytest.raises(EnrollmentUnknown):
        await world.provider.refresh(world.two_key(leaked, SigningKey.generate()))


@pytest.mark.spec("#two-key-refresh", "signature-key#3.5")
async def test_a_stolen_naming_jwt_is_of_no_use_to_another_key(world: Any, durable: Any) -> None:
    await world.enroll(durable)
    jwt = issue_jkt_jwt(durable, SigningKey.generate().public, jti="n", now=world.clock())
    with pytest.raises(InvalidSignature):
        await world.provider.refresh(world.request("/refresh", {}, SigningKey.generate(), JKTJWT(jwt)))


@pytest.mark.spec("signature-key#3.5")
async def test_a_naming_jwt_for_a_foreign_durable_key_is_refused(world: Any, durable: Any) -> None:
    """The attacker puts the victim's thumbprint into `iss` and signs with a key of its own."""
    await world.enroll(durable)
    attacker = SigningKey.generate()
    forged = issue_jkt_jwt(attacker, attacker.public, jti="n", now=world.clock())
    claims = msgspec.json.decode(b64url_decode(forged.split(".")[1]))
    claims["iss"] = f"urn:jkt:sha-256:{durable.thumbprint}"
    victim = durable.public.to_jwk()
    for jwk in (attacker.public.to_jwk(), victim):
        text = jws.sign({"typ": "jkt-s256+jwt", "jwk": jwk}, claims, attacker)
        with pytest.raises(InvalidJWT):
            await world.provider.refresh(world.request("/refresh", {}, attacker, JKTJWT(text)))


@pytest.mark.spec("#two-key-refresh")
async def test_a_replayed_naming_jwt_is_refused_for_as_long_as_it_lives(world: Any, durable: Any) -> None:
    await world.enroll(durable)
    ephemeral = SigningKey.generate()
    started = world.clock()
    await world.provider.refresh(world.two_key(durable, ephemeral, jti="once", now=started))
    for later in (0, 120, 299):
        world.clock.now = started + later
        with pytest.raises(InvalidJWT, match="used before"):
            await world.provider.refresh(world.two_key(durable, ephemeral, jti="once", now=started))
    world.clock.now = started + 300
    with pytest.raises(ExpiredJWT):
        await world.provider.refresh(world.two_key(durable, ephemeral, jti="once", now=started))


@pytest.mark.spec("#two-key-refresh")
async def test_two_installs_may_choose_the_same_jti(world: Any, durable: Any) -> None:
    other = SigningKey.generate()
    for key in (durable, other):
        await world.enroll(key)
        response = await world.provider.refresh(world.two_key(key, SigningKey.generate(), jti="same"))
        assert response.status == 200


@pytest.mark.spec("#two-key-refresh")
async def test_a_refused_refresh_does_not_use_up_the_naming_jwt(world: Any, durable: Any) -> None:
    await world.enroll(durable)
    ephemeral = SigningKey.generate()
    with pytest.raises(InvalidRequest):
        await world.provider.refresh(world.two_key(durable, ephemeral, jti="n", body={"ps": "nonsense"}))
    assert (await world.provider.refresh(world.two_key(durable, ephemeral, jti="n"))).status == 200


@pytest.mark.spec("#two-key-refresh")
async def test_a_naming_jwt_must_have_a_jti_and_a_short_life_and_name_another_key(world: Any, durable: Any) -> None:
    await world.enroll(durable)
    ephemeral = SigningKey.generate()
    with pytest.raises(InvalidJWT, match="600 seconds"):
        await world.provider.refresh(world.two_key(durable, ephemeral, lifetime_s=601))
    with pytest.raises(InvalidJWT, match="its own key"):
        await world.provider.refresh(world.two_key(durable, durable))
    now = int(world.clock())
    claims = {
        "iss": f"urn:jkt:sha-256:{durable.thumbprint}",
        "iat": now,
        "exp": now + 60,
        "cnf": {"jwk": ephemeral.public.to_jwk()},
    }
    without = jws.sign({"typ": "jkt-s256+jwt", "jwk": durable.public.to_jwk()}, claims, durable)
    with pytest.raises(InvalidJWT, match="jti"):
        await world.provider.refresh(world.request("/refresh", {}, ephemeral, JKTJWT(without)))


@pytest.mark.spec("#two-key-refresh")
async def test_an_expired_delegation_is_refused(world: Any, durable: Any) -> None:
    await world.enroll(durable)
    with pytest.raises(ExpiredJWT):
        await world.provider.refresh(
            world.two_key(durable, SigningKey.generate(), now=world.clock() - 60, lifetime_s=60)
        )


@pytest.mark.spec("#keying-material")
async def test_an_agent_token_does_not_refresh_itself(world: Any, durable: Any) -> None:
    answer = await world.enroll(durable)
    with pytest.raises(UnsupportedScheme):
        await world.provider.refresh(world.request("/refresh", {}, durable, JWT(answer["agent_token"])))


@pytest.mark.spec("#error-response-format")
async def test_refreshing_too_often_is_limited_for_that_install_only(world: Any, durable: Any) -> None:
    provider = world.make(tokens_per_minute=3)
    other = SigningKey.generate()
    for key in (durable, other):
        await provider.enroll(world.request("/enroll", {}, key))
    for _ in range(2):
        await provider.refresh(world.request("/refresh", {}, durable))
    with pytest.raises(RateLimited):
        await provider.refresh(world.request("/refresh", {}, durable))
    assert (await provider.refresh(world.request("/refresh", {}, other))).status == 200
    world.clock.now += 60
    assert (await provider.refresh(world.request("/refresh", {}, durable))).status == 200


# --------------------------------------------------------------------------- sub-agents


@pytest.mark.spec("#sub-agent-identity", "#sub-agents")
async def test_a_parent_gets_a_token_for_its_sub_agent(world: Any, durable: Any) -> None:
    parent = await world.enroll(durable, ps=PS)
    child = SigningKey.generate("ES256")
    response = await world.provider.subagent(
        world.subagent_request(durable, parent["agent_token"], discriminator="search1", jwk=child.public.to_jwk())
    )
    token = await world.verified(response.json()["agent_token"])
    local, _, domain = parent["agent"].partition("@")
    assert token.sub == response.json()["agent"] == f"{local}+search1@{domain}"
    assert (token.iss, token.parent_agent, token.ps) == (AP, parent["agent"], PS)
    assert token.cnf == child.public


@pytest.mark.spec("#sub-agents")
async def test_a_sub_agent_never_outlives_its_parents_token(world: Any, durable: Any) -> None:
    parent = await world.enroll(durable)
    world.clock.now += 3000
    response = await world.provider.subagent(
        world.subagent_request(
            durable, parent["agent_token"], discriminator="a", jwk=SigningKey.generate().public.to_jwk()
        )
    )
    token = await world.verified(response.json()["agent_token"])
    assert token.exp == (await world.verified(parent["agent_token"])).exp
    assert response.json()["expires_in"] == 600


@pytest.mark.spec("#single-level-depth")
async def test_a_sub_agent_cannot_have_sub_agents(world: Any, durable: Any) -> None:
    parent, child = await world.enroll(durable), SigningKey.generate()
    response = await world.provider.subagent(
        world.subagent_request(durable, parent["agent_token"], discriminator="a", jwk=child.public.to_jwk())
    )
    with pytest.raises(InvalidRequest, match="one level"):
        await world.provider.subagent(
            world.subagent_request(
                child,
                response.json()["agent_token"],
                discriminator="b",
                jwk=SigningKey.generate().public.to_jwk(),
            )
        )


@pytest.mark.spec("#sub-agents", "#proof-of-possession")
async def test_a_stolen_parent_token_makes_no_sub_agents(world: Any, durable: Any) -> None:
    parent, thief = await world.enroll(durable), SigningKey.generate()
    with pytest.raises(InvalidSignature):
        await world.provider.subagent(
            world.subagent_request(thief, parent["agent_token"], discriminator="a", jwk=thief.public.to_jwk())
        )


@pytest.mark.spec("#sub-agents")
async def test_an_agent_names_sub_agents_of_its_own_only(world: Any, durable: Any) -> None:
    """What the body says about a parent does not count; the signer is the parent."""
    victim, attacker = await world.enroll(durable), SigningKey.generate()
    mine = await world.enroll(attacker)
    response = await world.provider.subagent(
        world.subagent_request(
            attacker,
            mine["agent_token"],
            discriminator="a",
            jwk=SigningKey.generate().public.to_jwk(),
            parent_agent=victim["agent"],
        )
    )
    token = await world.verified(response.json()["agent_token"])
    assert token.parent_agent == mine["agent"] != victim["agent"]


@pytest.mark.spec("#sub-agents")
@pytest.mark.parametrize("discriminator", ["", "a+b", "a b", "a@evil.example", "ä", "a/b", "x" * 250, 5, None])
async def test_a_discriminator_that_is_no_local_part_is_refused(
    world: Any, durable: Any, discriminator: object
) -> None:
    parent = await world.enroll(durable)
    with pytest.raises(InvalidRequest):
        await world.provider.subagent(
            world.subagent_request(
                durable,
                parent["agent_token"],
                discriminator=discriminator,
                jwk=SigningKey.generate().public.to_jwk(),
            )
        )


@pytest.mark.spec("#sub-agents", "#signature-algorithms")
async def test_a_sub_agent_key_must_be_a_public_key_of_its_own_with_an_alg(world: Any, durable: Any) -> None:
    parent, child = await world.enroll(durable), SigningKey.generate()
    good = child.public.to_jwk()
    no_alg = {name: value for name, value in good.items() if name != "alg"}
    for jwk in ({}, no_alg, {**good, "alg": "EdDSA"}, child.to_private_jwk(), durable.public.to_jwk(), [], "key"):
        with pytest.raises(InvalidRequest):
            await world.provider.subagent(
                world.subagent_request(durable, parent["agent_token"], discriminator="a", jwk=jwk)
            )


@pytest.mark.spec("#sub-agents", "#agent-token-verification")
async def test_a_parent_of_another_provider_is_refused_without_asking_that_provider(world: Any, durable: Any) -> None:
    foreign = issue_agent_token(
        SigningKey.generate(),
        iss="https://other.example",
        sub="aauth:a@other.example",
        cnf=durable.public,
        jti="j",
        now=world.clock(),
    )
    with pytest.raises(UnknownKey, match="not one of this agent provider's"):
        await world.provider.subagent(
            world.subagent_request(durable, foreign, discriminator="a", jwk=SigningKey.generate().public.to_jwk())
        )
    assert world.person_server.requests == []


@pytest.mark.spec("#agent-token-verification")
async def test_a_token_that_another_key_signed_in_the_providers_name_is_refused(world: Any, durable: Any) -> None:
    enrolled = await world.enroll(durable)
    real = (await world.verified(enrolled["agent_token"])).kid
    forger = SigningKey.generate(kid=real)
    forged = issue_agent_token(forger, iss=AP, sub=enrolled["agent"], cnf=durable.public, jti="j", now=world.clock())
    with pytest.raises(InvalidJWT):
        await world.provider.subagent(
            world.subagent_request(durable, forged, discriminator="a", jwk=SigningKey.generate().public.to_jwk())
        )


@pytest.mark.spec("#agent-token-verification", "#common-verification")
async def test_an_expired_parent_token_makes_no_sub_agents(world: Any, durable: Any) -> None:
    parent = await world.enroll(durable)
    world.clock.now += 3600
    with pytest.raises(ExpiredJWT):
        await world.provider.subagent(
            world.subagent_request(
                durable, parent["agent_token"], discriminator="a", jwk=SigningKey.generate().public.to_jwk()
            )
        )


# --------------------------------------------------------------------------- what it publishes


@pytest.mark.spec("#agent-provider-metadata")
async def test_the_metadata_names_the_endpoints_and_what_the_provider_calls_itself(world: Any) -> None:
    shown = AgentProviderMetadata(issuer="https://ignored.example", name="Example", logo_uri="https://x.example/l.png")
    metadata = world.make(metadata=shown).metadata()
    read = read_metadata(AgentProviderMetadata, dump_metadata(metadata), issuer=AP)
    assert read == metadata
    assert (read.name, read.logo_uri, read.jwks_uri) == ("Example", shown.logo_uri, f"{AP}/.well-known/jwks.json")
    assert (read.enrollment_endpoint, read.refresh_endpoint) == (f"{AP}/enroll", f"{AP}/refresh")
    assert (read.subagent_endpoint, read.callback_endpoint) == (f"{AP}/subagent", f"{AP}/callback")


@pytest.mark.spec("#jwks-discovery")
async def test_nothing_private_is_published(world: Any, durable: Any) -> None:
    await world.enroll(durable)
    for member in (await world.provider.jwks()).to_document()["keys"]:
        assert "d" not in member
        assert {"kty", "crv", "x", "alg", "kid"} == set(member)


async def test_no_answer_is_kept_by_a_cache(world: Any, durable: Any) -> None:
    response: Response = await world.provider.enroll(world.request("/enroll", {}, durable))
    assert response.headers.get("cache-control") == "no-store"


@pytest.mark.spec("#agent-tokens")
def test_agent_tokens_never_live_longer_than_a_day() -> None:
    with pytest.raises(ValueError, match="86400"):
        AgentProvider(AP, store=None, wire=None, clock=lambda: 0.0, token_lifetime_s=86_401)  # type: ignore[arg-type]


@pytest.mark.spec("#durable-key-compromise")
async def test_a_revoked_enrolment_gets_nothing_any_more(world: Any, durable: Any) -> None:
    enrolled = await world.enroll(durable)
    await world.provider.revoke(enrolled["agent"])
    for attempt in (
        world.provider.enroll(world.request("/enroll", {}, durable)),
        world.provider.refresh(world.request("/refresh", {}, durable)),
        world.provider.refresh(world.two_key(durable, SigningKey.generate())),
    ):
        with pytest.raises(EnrollmentRevoked):
            await attempt
    with pytest.raises(RevokedJWT):
        await world.provider.subagent(
            world.subagent_request(
                durable, enrolled["agent_token"], discriminator="a", jwk=SigningKey.generate().public.to_jwk()
            )
        )


@pytest.mark.spec("#durable-key-compromise", "#sub-agents")
async def test_a_revoked_parent_makes_no_sub_agents_even_while_its_person_server_is_silent(
    world: Any, durable: Any
) -> None:
    enrolled = await world.enroll(durable, ps=PS)
    world.person_server.answers = [TransportError("no answer")]
    await world.provider.revoke(enrolled["agent"])
    with pytest.raises(RevokedJWT):
        await world.provider.subagent(
            world.subagent_request(
                durable, enrolled["agent_token"], discriminator="a", jwk=SigningKey.generate().public.to_jwk()
            )
        )


@pytest.mark.spec("#presenting-a-revoked-token")
async def test_a_single_token_that_was_revoked_is_refused_as_revoked(world: Any, durable: Any) -> None:
    enrolled = await world.enroll(durable)
    token = await world.verified(enrolled["agent_token"])
    await world.store.mark_revoked(token.jti, now=world.clock())
    with pytest.raises(RevokedJWT):
        await world.provider.subagent(
            world.subagent_request(
                durable, enrolled["agent_token"], discriminator="a", jwk=SigningKey.generate().public.to_jwk()
            )
        )


@pytest.mark.spec("#per-install-identity")
async def test_a_full_provider_says_so_and_still_serves_who_is_enrolled(world: Any, durable: Any) -> None:
    provider = world.make(max_enrollments=1)
    await provider.enroll(world.request("/enroll", {}, durable))
    with pytest.raises(EnrollmentRefused, match="no room"):
        await provider.enroll(world.request("/enroll", {}, SigningKey.generate()))
    assert (await provider.refresh(world.request("/refresh", {}, durable))).status == 200
