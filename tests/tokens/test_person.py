from __future__ import annotations

from typing import Any

import pytest

from aauthlib import jws
from aauthlib.errors import TokenInvalid
from aauthlib.tokens import PersonToken, VerificationPolicy, issue_person_token, verify
from tests.tokens.minting import AGENT_KEY, ISSUER_KEY, MISSING, NOW, PS, RESOURCE, Issuers, mint


def accept(text: str) -> PersonToken:
    return Issuers().run(verify(text, PersonToken, now=NOW, policy=VerificationPolicy()))


def person(**options: Any) -> str:
    arguments: dict[str, Any] = {
        "iss": PS, "aud": RESOURCE, "sub": "s", "cnf": AGENT_KEY.public, "jti": "j", "now": NOW,
        "not_after": NOW + 600, **options,
    }  # fmt: skip
    return issue_person_token(ISSUER_KEY, **arguments)


@pytest.mark.spec("#person-token-structure")
def test_an_issued_person_token_says_what_it_was_issued_for() -> None:
    token = accept(person(mission_s256="m", tenant="t"))

    assert (token.iss, token.aud, token.sub, token.jti, token.dwk) == (PS, RESOURCE, "s", "j", "aauth-person.json")
    assert (token.mission_s256, token.tenant, token.person_server) == ("m", "t", PS)
    assert token.cnf == AGENT_KEY.public


@pytest.mark.spec("#person-token-structure")
def test_what_a_person_token_does_not_say_is_left_out() -> None:
    assert jws.parse(person()).payload.keys() == {"iss", "dwk", "aud", "sub", "cnf", "jti", "iat", "exp"}


@pytest.mark.spec("#person-token-structure")
def test_a_person_token_never_outlives_what_it_rests_on_nor_an_hour() -> None:
    assert accept(person(not_after=NOW + 599.9)).exp == NOW + 599
    assert accept(person(not_after=NOW + 90_000)).exp == NOW + 3600
    with pytest.raises(TokenInvalid):
        person(not_after=NOW)


@pytest.mark.parametrize("claim", ["aud", "sub", "cnf"])
@pytest.mark.spec("#person-token-structure")
def test_a_person_token_without_a_required_claim_is_refused(claim: str) -> None:
    with pytest.raises(TokenInvalid):
        accept(mint("aa-person+jwt", **{claim: MISSING}))


@pytest.mark.parametrize("claim", ["scope", "account"])
@pytest.mark.parametrize("value", ["calendar.read", "", None])
@pytest.mark.spec("#person-token-structure", "#person-token-not-authorization")
def test_a_person_token_with_scope_or_account_is_refused(claim: str, value: Any) -> None:
    with pytest.raises(TokenInvalid):
        accept(mint("aa-person+jwt", **{claim: value}))


@pytest.mark.parametrize("aud", [[RESOURCE], "", 7, None, "resource.example", RESOURCE + "/", RESOURCE.upper()])
@pytest.mark.spec("#person-token-structure", "#server-identifiers")
def test_aud_must_be_one_server_identifier(aud: Any) -> None:
    with pytest.raises(TokenInvalid):
        accept(mint("aa-person+jwt", aud=aud))


@pytest.mark.parametrize("claim", ["sub", "mission_s256", "tenant"])
@pytest.mark.parametrize("value", ["", 7, None, ["x"]])
@pytest.mark.spec("#person-token-structure")
def test_a_string_claim_that_is_present_must_be_a_non_empty_string(claim: str, value: Any) -> None:
    with pytest.raises(TokenInvalid):
        accept(mint("aa-person+jwt", **{claim: value}))


@pytest.mark.spec("#aauth-capabilities")
def test_claims_unknown_here_are_ignored_and_kept() -> None:
    assert accept(mint("aa-person+jwt", novelty={"a": 1})).claims["novelty"] == {"a": 1}
