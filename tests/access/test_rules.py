"""Declarative rules: what matches, what is passed over, and what is refused when they are read."""

from __future__ import annotations

from typing import Any

import pytest

from aauthlib.access import (
    Allow,
    AskClaims,
    AskQuestion,
    Decision,
    Deny,
    Facts,
    Narrow,
    NeedApproval,
    NeedInteraction,
    NeedPayment,
    RulesPolicy,
)
from aauthlib.errors import ConfigurationError

FACTS = Facts(
    agent="aauth:helper@ap.example",
    provider="https://ap.example",
    person_server="https://ps.corp.example",
    resource="https://calendar.example",
    scope=("calendar.read",),
    tenant="corp",
    trusted=True,
    now=1_800_000_000.0,  # Friday, 15 January 2027, 08:00 UTC
)


async def decide(text: str, **facts: Any) -> Decision:
    from msgspec.structs import replace

    return (await RulesPolicy.read(text).decide(replace(FACTS, **facts))).decision


def rule(when: str, decision: str = '"allow"', more: str = "") -> str:
    return f"[[rule]]\ndecision = {decision}\n{more}\n[rule.when]\n{when}\n"


@pytest.mark.spec("#as-response")
async def test_the_first_rule_that_matches_decides_and_none_is_a_denial() -> None:
    text = rule('scope = "calendar.write"', '"deny"', 'reason = "read only"') + rule('scope = "calendar.*"')
    assert await decide(text) == Allow()
    assert await decide(text, scope=("calendar.write",)) == Deny("read only")
    assert isinstance(await decide(text, scope=("mail.read",)), Deny)
    assert isinstance(await decide(text, scope=("calendar.read", "mail.read")), Deny)
    assert isinstance(await decide(""), Deny)


async def test_every_decision_can_be_written() -> None:
    assert await decide(rule("", '"narrow"', 'scope = ["calendar.*"]'), scope=("calendar.read", "x")) == Narrow(
        ("calendar.read",)
    )
    assert await decide(rule("", '"claims"', 'claims = ["email"]')) == AskClaims(("email",))
    question = AskQuestion("Why?", ("a", "b"))
    assert await decide(rule("", '"question"', 'question = "Why?"\noptions = ["a", "b"]')) == question
    assert await decide(rule("", '"interaction"')) == NeedInteraction()
    assert await decide(rule("", '"approval"', 'by = "the boss"')) == NeedApproval("the boss")
    payment = 'amount = "5"\ncurrency = "EUR-cent"'
    assert await decide(rule("", '"payment"', payment)) == NeedPayment("5", "EUR-cent")


@pytest.mark.spec("#ps-as-trust-establishment")
async def test_a_demand_that_is_met_is_passed_over() -> None:
    text = (
        rule("", '"payment"', 'amount = "5"\ncurrency = "c"')
        + rule("", '"interaction"')
        + rule("", '"approval"')
        + rule("", '"question"', 'question = "Why?"')
        + rule("", '"claims"', 'claims = ["email"]')
        + rule('claims.email = "*@corp.example"\ntrusted = true')
    )
    met: dict[str, Any] = {"paid": True, "bound_user": "alice", "approved_by": "boss", "answers": {"Why?": "So."}}
    assert isinstance(await decide(text, paid=True), NeedInteraction)
    assert await decide(text, **met) == AskClaims(("email",))
    met |= {"claims_asked": ("email",)}
    assert await decide(text, **met, claims={"email": "alice@corp.example"}) == Allow()
    assert isinstance(await decide(text, **met, claims={"email": "alice@corp.example.evil.example"}), Deny)
    assert isinstance(await decide(text, **met), Deny)


@pytest.mark.parametrize(
    ("when", "other"),
    [
        ('agent = "aauth:helper@ap.example"', {"agent": "aauth:Helper@ap.example"}),
        ('provider = ["https://ap.example"]', {"provider": "https://apxexample"}),
        ('person_server = "https://*.corp.example"', {"person_server": "https://corp.example"}),
        ('resource = "https://calendar.example"', {"resource": "https://calendar.example.evil.example"}),
        ('tenant = "corp"\ntrusted = true', {"tenant": None}),
        ("trusted = true", {"trusted": False}),
        ("chained = false", {"chained": True}),
        ('account = "work"', {"account": "private"}),
        ('agent_claims.platform = "workload"', {"agent_claims": {"platform": "web"}}),
        ("agent_claims.enclave = true", {"agent_claims": {"platform": "workload", "enclave": 1}}),
        ("bound = true", {"bound_user": None}),
        ('answers."Why?" = "So*"', {"answers": {"Why?": "No."}}),
        ('time.days = ["fri"]', {"now": 1_800_086_400.0}),
        ('time.hours = "08:00-09:00"', {"now": 1_800_003_600.0}),
        ('time.hours = "22:00-09:00"', {"now": 1_800_003_600.0}),
        ('time.zone = "Europe/Berlin"\ntime.hours = "09:00-10:00"', {"now": 1_800_003_600.0}),
        ("time.until = 2027-01-15T09:00:00Z", {"now": 1_800_003_600.0}),
        ("time.from = 2027-01-15T08:00:00Z", {"now": 1_799_999_999.0}),
    ],
)
async def test_each_condition_holds_for_what_it_names_and_nothing_else(when: str, other: dict[str, Any]) -> None:
    matching = {
        "account": "work",
        "agent_claims": {"platform": "workload", "enclave": True},
        "bound_user": "alice",
        "answers": {"Why?": "So."},
    }
    assert await decide(rule(when), **matching) == Allow()
    assert isinstance(await decide(rule(when), **{**matching, **other}), Deny)


async def test_one_item_of_a_claim_that_is_a_list_suffices() -> None:
    text = rule('claims.groups = ["staff", "board"]\ntrusted = true')
    assert await decide(text, claims={"groups": ["guests", "staff"]}) == Allow()
    assert isinstance(await decide(text, claims={"groups": ["guests"]}), Deny)


@pytest.mark.parametrize("condition", ['tenant = "corp"', 'claims.email = "*@corp.example"'])
def test_what_anybody_can_claim_is_not_believed_without_saying_of_whom(condition: str) -> None:
    with pytest.raises(ConfigurationError, match="whichever person server"):
        RulesPolicy.read(rule(condition))
    for who in ('person_server = "https://ps.corp.example"', "trusted = true", "bound = true"):
        RulesPolicy.read(rule(f"{condition}\n{who}"))
    RulesPolicy.read(rule(condition, more="any_person_server = true"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "not TOML"),
        ("rules = []", "no member rules"),
        ("[[rule]]\nname = 'a'", "needs a decision"),
        ("[[rule]]\ndecision = 'allow'\nscopes = ['x']", "no member scopes"),
        ("[[rule]]\ndecision = 'narrow'", "needs scope"),
        ("[[rule]]\ndecision = 'claims'\nclaims = ['sub']", "must not ask for it"),
        ("[[rule]]\ndecision = 'payment'\namount = '1'", "needs currency"),
        ("[[rule]]\ndecision = 'payment'\namount = '1.5'\ncurrency = 'c'", "whole number"),
        (rule('agnet = "x"'), "no condition agnet"),
        (rule('trusted = "yes"'), "true or false"),
        (rule("scope = 3"), "string, or a list"),
        (rule('time.hours = "8-9"'), "looks like"),
        (rule('time.zone = "Mars/Base"'), "time zone"),
        (rule('time.days = ["someday"]'), "list of mon"),
        (rule('time.days = [["mon"]]'), "list of mon"),
    ],
)
def test_what_is_not_understood_is_refused_when_it_is_read(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        RulesPolicy.read(text)


async def test_the_log_can_name_the_rule_and_the_version() -> None:
    policy = RulesPolicy.read('version = "7"\n[[rule]]\nname = "everybody"\ndecision = "allow"')
    verdict = await policy.decide(FACTS)
    assert verdict.rule == "everybody"
    assert verdict.version.startswith("7+")
    assert verdict.version != RulesPolicy.read('version = "7"\n[[rule]]\ndecision = "allow"').version
