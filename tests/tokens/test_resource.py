from __future__ import annotations

from typing import Any

import pytest

from aauthlib import jws
from aauthlib.errors import TokenInvalid
from aauthlib.tokens import (
    AuthToken,
    Interaction,
    PersonToken,
    ResourceToken,
    VerificationPolicy,
    issue_resource_token,
    profile,
    verify,
)
from tests.tokens.minting import AGENT_KEY, AS, ISSUER_KEY, MISSING, NOW, PS, RESOURCE, Issuers, mint

POLICY = VerificationPolicy()


def accept(text: str) -> ResourceToken:
    return Issuers().run(verify(text, ResourceToken, now=NOW, policy=POLICY))


def presented(typ: str, **claims: Any) -> PersonToken | AuthToken:
    return Issuers().run(verify(mint(typ, **claims), PersonToken, AuthToken, now=NOW, policy=POLICY))


def issue(token: PersonToken | AuthToken, **options: Any) -> str:
    arguments: dict[str, Any] = {"iss": RESOURCE, "jti": "r", "now": NOW, "scope": ["calendar.read"], **options}
    return issue_resource_token(ISSUER_KEY, presented=token, **arguments)


@pytest.mark.parametrize("typ", ["aa-person+jwt", "aa-auth+jwt"])
@pytest.mark.spec("#resource-token", "#resource-token-structure")
def test_a_resource_token_copies_the_person_and_the_key_from_the_token_that_was_presented(typ: str) -> None:
    token = accept(issue(presented(typ, jti="p1", mission_s256="m", tenant="t")))

    assert (token.ps, token.sub, token.presented_jti) == (PS, "8f14e45f", "p1")
    assert (token.mission_s256, token.tenant) == ("m", "t")
    assert token.agent_jkt == AGENT_KEY.thumbprint
    assert "cnf" not in token.claims


@pytest.mark.spec("#resource-token")
def test_a_resource_without_an_access_server_addresses_the_persons_own_server() -> None:
    assert accept(issue(presented("aa-person+jwt"))).aud == PS
    assert accept(issue(presented("aa-auth+jwt", iss=AS, dwk="aauth-access.json"))).aud == PS


@pytest.mark.spec("#resource-token")
def test_a_resource_with_an_access_server_addresses_it() -> None:
    token = accept(issue(presented("aa-person+jwt"), access_server=AS))

    assert (token.aud, token.ps) == (AS, PS)


@pytest.mark.spec("#resource-token-structure", "#account-binding", "#resource-initiated-interaction")
def test_what_the_resource_adds_is_read_back() -> None:
    interaction = Interaction("https://resource.example/connect", "A1B2-C3D4")
    text = issue(presented("aa-person+jwt"), account="acme", login_hint="a@b.c", interaction=interaction, scope=["a"])

    token = accept(text)

    assert (token.account, token.login_hint, token.interaction, token.scope) == ("acme", "a@b.c", interaction, ("a",))


@pytest.mark.spec("#resource-token-structure")
def test_what_a_resource_does_not_say_is_left_out() -> None:
    payload = jws.parse(issue(presented("aa-person+jwt"), scope=None)).payload

    assert payload.keys() == {
        "iss", "dwk", "jti", "iat", "exp", "aud", "ps", "sub", "presented_jti", "agent_jkt",
    }  # fmt: skip


@pytest.mark.spec("#resource-token-structure")
def test_a_resource_issues_no_resource_token_for_longer_than_five_minutes() -> None:
    assert accept(issue(presented("aa-person+jwt"))).exp == NOW + 300
    with pytest.raises(TokenInvalid):
        issue(presented("aa-person+jwt"), lifetime_s=301)


@pytest.mark.parametrize("claim", ["aud", "ps", "sub", "presented_jti", "agent_jkt"])
@pytest.mark.spec("#resource-token-structure")
def test_a_resource_token_without_a_required_claim_is_refused(claim: str) -> None:
    with pytest.raises(TokenInvalid):
        accept(mint("aa-resource+jwt", **{claim: MISSING}))


@pytest.mark.spec("#resource-token-structure")
def test_scope_is_optional() -> None:
    assert accept(mint("aa-resource+jwt", scope=MISSING)).scope is None


@pytest.mark.parametrize("claim", ["account", "login_hint", "mission_s256", "tenant"])
@pytest.mark.parametrize("value", ["", 7, None])
@pytest.mark.spec("#resource-token-structure")
def test_an_optional_claim_that_is_present_must_be_a_non_empty_string(claim: str, value: Any) -> None:
    with pytest.raises(TokenInvalid):
        accept(mint("aa-resource+jwt", **{claim: value}))


@pytest.mark.parametrize(
    "interaction",
    [
        None, "https://resource.example/x", {}, {"url": "https://resource.example/x"}, {"code": "A1B2C3D4"},
        {"url": "http://resource.example/x", "code": "A1B2C3D4"}, {"url": "javascript:alert(1)", "code": "A1B2C3D4"},
        {"url": "https://user@resource.example/x", "code": "A1B2C3D4"},
        {"url": "https://resource.example/x", "code": 7},
    ],
)  # fmt: skip
@pytest.mark.spec("#resource-initiated-interaction")
def test_an_interaction_needs_an_https_url_and_a_code(interaction: Any) -> None:
    with pytest.raises(TokenInvalid):
        accept(mint("aa-resource+jwt", interaction=interaction))


@pytest.mark.spec("#resource-initiated-interaction")
def test_an_interaction_on_this_machine_is_for_development_only() -> None:
    text = mint("aa-resource+jwt", interaction={"url": "http://resource.localhost:8000/connect", "code": "A1B2-C3D4"})

    with pytest.raises(TokenInvalid, match="interaction url"):
        profile.read(text, ResourceToken, now=NOW, policy=VerificationPolicy())
    read = profile.read(text, ResourceToken, now=NOW, policy=VerificationPolicy(dev=True)).token
    assert isinstance(read, ResourceToken)
    assert read.interaction == Interaction("http://resource.localhost:8000/connect", "A1B2-C3D4")
