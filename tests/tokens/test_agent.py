from __future__ import annotations

from typing import Any

import pytest

from aauthlib import jws
from aauthlib.errors import TokenInvalid
from aauthlib.tokens import AgentToken, VerificationPolicy, issue_agent_token, verify
from tests.tokens.minting import AGENT_KEY, AP, ISSUER_KEY, MISSING, NOW, PS, Issuers, mint

DEV = VerificationPolicy(dev=True)


def accept(text: str, policy: VerificationPolicy = VerificationPolicy()) -> AgentToken:  # noqa: B008
    issuers = Issuers()
    issuers.keys["http://ap.localhost:8001", ISSUER_KEY.kid] = ISSUER_KEY.public
    return issuers.run(verify(text, AgentToken, now=NOW, policy=policy))


def agent(**options: Any) -> str:
    arguments: dict[str, Any] = {
        "iss": AP, "sub": "aauth:planner@ap.example", "cnf": AGENT_KEY.public, "jti": "j", "now": NOW, **options,
    }  # fmt: skip
    return issue_agent_token(ISSUER_KEY, **arguments)


@pytest.mark.spec("#agent-token-structure")
def test_an_issued_agent_token_says_what_it_was_issued_for() -> None:
    token = accept(agent(ps=PS, lifetime_s=600, parent_agent="aauth:boss@ap.example", claims={"tier": "gold"}))

    assert (token.iss, token.sub, token.ps, token.jti) == (AP, "aauth:planner@ap.example", PS, "j")
    assert (token.iat, token.exp) == (NOW, NOW + 600)
    assert token.cnf == AGENT_KEY.public
    assert token.parent_agent == "aauth:boss@ap.example"
    assert token.claims["tier"] == "gold"
    assert token.identity == (AP, "aauth:planner@ap.example")


@pytest.mark.spec("#agent-token-structure")
def test_what_an_agent_does_not_have_is_left_out_of_its_token() -> None:
    payload = jws.parse(agent()).payload

    assert payload.keys() == {"iss", "dwk", "sub", "cnf", "jti", "iat", "exp"}
    assert "d" not in payload["cnf"]["jwk"]


@pytest.mark.spec("#agent-token-structure")
def test_policy_claims_cannot_change_who_the_token_is_about() -> None:
    forged = {"sub": "aauth:root@ap.example", "cnf": {}, "ps": "https://evil.example", "iss": "https://evil.example"}

    token = accept(agent(claims=forged))

    assert (token.iss, token.sub, token.ps, token.cnf) == (AP, "aauth:planner@ap.example", None, AGENT_KEY.public)


@pytest.mark.spec("#agent-tokens")
def test_a_provider_issues_no_agent_token_for_longer_than_a_day() -> None:
    assert accept(agent(lifetime_s=86_400)).exp == NOW + 86_400
    with pytest.raises(TokenInvalid):
        agent(lifetime_s=86_401)


@pytest.mark.parametrize(
    "sub",
    [
        MISSING, "", None, 7, "planner@ap.example", "aauth:@ap.example", "aauth:planner", "aauth:plan ner@ap.example",
        "aauth:planner@AP.example", "aauth:planner@ap.example/x", "AAUTH:planner@ap.example",
    ],
)  # fmt: skip
@pytest.mark.spec("#agent-token-verification", "#agent-identifiers")
def test_sub_must_be_an_agent_identifier(sub: Any) -> None:
    with pytest.raises(TokenInvalid):
        accept(mint("aa-agent+jwt", sub=sub))


@pytest.mark.parametrize(
    "sub", ["aauth:planner@other.example", "aauth:planner@sub.ap.example", "aauth:planner@example"]
)
@pytest.mark.spec("#agent-token-verification")
def test_no_provider_can_name_another_providers_agent(sub: str) -> None:
    with pytest.raises(TokenInvalid):
        accept(mint("aa-agent+jwt", sub=sub))


@pytest.mark.spec("#agent-identifiers")
def test_the_local_part_is_compared_exactly_never_folded() -> None:
    assert accept(mint("aa-agent+jwt", sub="aauth:Planner@ap.example")).sub == "aauth:Planner@ap.example"


@pytest.mark.parametrize("ps", ["", None, 7, "http://ps.example", "https://ps.example/", "ps.example"])
@pytest.mark.spec("#agent-token-structure")
def test_a_ps_claim_must_be_a_server_identifier(ps: Any) -> None:
    with pytest.raises(TokenInvalid):
        accept(mint("aa-agent+jwt", ps=ps))


@pytest.mark.spec("#agent-token-structure")
def test_an_agent_need_not_have_a_person_server() -> None:
    assert accept(mint("aa-agent+jwt", ps=MISSING)).ps is None


@pytest.mark.parametrize("parent", ["", None, 7, "boss", "aauth:boss@"])
@pytest.mark.spec("#sub-agent-identity")
def test_a_parent_agent_must_be_an_agent_identifier(parent: Any) -> None:
    with pytest.raises(TokenInvalid):
        accept(mint("aa-agent+jwt", parent_agent=parent))


@pytest.mark.spec("#server-identifiers")
def test_localhost_names_are_believed_in_the_development_profile_only() -> None:
    text = mint("aa-agent+jwt", iss="http://ap.localhost:8001", sub="aauth:planner@ap.localhost", ps=MISSING)

    assert accept(text, DEV).iss == "http://ap.localhost:8001"
    with pytest.raises(TokenInvalid):
        accept(text)
