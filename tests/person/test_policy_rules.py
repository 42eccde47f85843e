"""The person server's policy in TOML: what matches, what it demands, and what is refused when it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from aauthlib.errors import ConfigurationError
from aauthlib.person.asked import Asked, AskedAgent, AskedPermission
from aauthlib.person.policy import ASK_PERSON, Facts, Refuse, facts_of
from aauthlib.person.policy_rules import PersonPolicyFile, PersonRules, load_person_policy
from aauthlib.policies.approvers import Step
from aauthlib.store.approval_records import Course

from .parties import Clock

pytestmark = pytest.mark.spec("#approval-pending")

FACTS = Facts(
    kind="auth_token",
    agent="aauth:helper@ap.example",
    provider="https://ap.example",
    resource="https://bank.example",
    scope=("payments.write",),
    tenant="corp",
    username="ana",
    now=1_800_000_000.0,
)
ALLOW = Course(ask_person=False)
TWO = '[[rule.step]]\ngroups = ["finance"]\nneeded = 2\n'


async def decide(text: str, **facts: Any) -> Course | Refuse:
    return (await PersonRules.read(text).decide(replace(FACTS, **facts))).decision


def rule(when: str = "", decision: str = "allow", more: str = "") -> str:
    return f'[[rule]]\ndecision = "{decision}"\n{more}\n[rule.when]\n{when}\n'


async def test_the_first_rule_that_matches_decides_and_where_none_does_the_person_is_asked() -> None:
    text = rule('scope = "payments.*"', "deny", 'reason = "not here"') + rule('tenant = "corp"')
    assert await decide(text) == Refuse("not here")
    assert await decide(text, scope=("read",)) == ALLOW
    assert await decide(text, scope=("read",), tenant=None) == ASK_PERSON
    assert await decide("") == ASK_PERSON
    assert await decide(rule(decision="ask") + rule()) == ASK_PERSON


async def test_approvers_are_people_and_groups_in_steps_that_escalate() -> None:
    text = f"""
    [[rule]]
    decision = "approvers"
    ask_person = false
    four_eyes = false
    valid_for = "2d"
    {TWO}
    deadline = "4h"
    escalate = {{ people = ["lea"], deadline = "30m" }}
    [[rule.step]]
    people = ["bo", "cem"]
    """
    assert await decide(text) == Course(
        ask_person=False,
        four_eyes=False,
        valid_for_s=172_800.0,
        steps=(
            Step(
                groups=("finance",),
                needed=2,
                deadline_s=14_400.0,
                escalate=Step(people=("lea",), deadline_s=1_800.0),
            ),
            Step(people=("bo", "cem"), deadline_s=86_400.0),
        ),
    )
    assert PersonRules.read(text).groups == {"finance"}


async def test_four_eyes_and_the_persons_own_yes_are_demanded_unless_a_rule_says_otherwise() -> None:
    found = await decide(f'[[rule]]\ndecision = "approvers"\n{TWO}')
    assert isinstance(found, Course)
    assert found.four_eyes
    assert found.ask_person


async def test_a_scope_value_beside_another_cannot_get_round_the_rule_about_it() -> None:
    approvers = f'[[rule]]\ndecision = "approvers"\n{TWO}[rule.when]\nscope = "payments.*"\n'
    text = approvers + rule('scope = "admin"', "deny") + rule()
    mixed = await decide(text, scope=("read", "payments.write"))
    assert isinstance(mixed, Course)
    assert mixed.steps[0].needed == 2
    assert mixed.ask_person
    assert isinstance(await decide(text, scope=("payments.write", "admin")), Refuse)
    assert await decide(text, scope=("read", "list")) == ALLOW


async def test_what_is_asked_together_needs_the_steps_of_each_part_once() -> None:
    def approvers(scope: str, people: str, more: str) -> str:
        step = f'[[rule.step]]\npeople = ["{people}"]\n'
        return f'[[rule]]\ndecision = "approvers"\n{more}\n{step}[rule.when]\nscope = "{scope}"\n'

    text = (
        approvers("a", "bo", 'valid_for = "2h"\nask_person = false\nfour_eyes = false')
        + approvers("b", "cem", 'valid_for = "1h"\nask_person = false')
        + approvers("c", "bo", "ask_person = false")
    )
    together = await decide(text, scope=("a", "b", "c"))
    assert isinstance(together, Course)
    assert [step.people for step in together.steps] == [("bo",), ("cem",)]
    assert (together.four_eyes, together.valid_for_s, together.ask_person) == (True, 3600.0, False)


async def test_a_rule_about_a_scope_says_nothing_of_a_request_without_one() -> None:
    assert await decide(rule('scope = "*"'), kind="person_token", scope=()) == ASK_PERSON


@pytest.mark.parametrize(
    ("amount", "currency", "lets_through"),
    [(100, "EUR", True), (101, "EUR", False), (100, "USD", False), (None, "EUR", False), (None, None, False)],
)
async def test_an_amount_is_compared_in_its_currency_and_an_unknown_one_matches_nothing(
    amount: int | None, currency: str | None, lets_through: bool
) -> None:
    text = rule('kind = "permission"\ncurrency = "EUR"\namount.at_most = 100')
    found = await decide(text, kind="permission", scope=(), amount=amount, currency=currency)
    assert (found == ALLOW) is lets_through


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"amount": 5, "currency": "EUR"}, (5, "EUR")),
        ({"amount": 5}, (None, None)),
        ({"amount": -5, "currency": "EUR"}, (None, None)),
        ({"amount": 5.0, "currency": "EUR"}, (None, None)),
        ({"amount": True, "currency": "EUR"}, (None, None)),
        ({"amount": "5", "currency": "EUR"}, (None, None)),
        ({"amount": 10**15, "currency": "EUR"}, (None, None)),
        (None, (None, None)),
    ],
)
def test_an_amount_is_a_whole_number_with_a_currency(parameters: Any, expected: tuple[Any, Any]) -> None:
    asked = Asked(
        kind="permission",
        agent=AskedAgent(iss="https://ap.example", sub="aauth:helper@ap.example", jti="j"),
        cnf={},
        not_after=0.0,
        permission=AskedPermission(action="pay", parameters=parameters),
    )
    facts = facts_of(asked, tenant="corp", username="ana", now=1.0)
    assert (facts.amount, facts.currency) == expected
    assert facts.action == "pay"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "not TOML"),
        (rule(decision="perhaps"), "needs a decision: allow, deny, ask, approvers"),
        (rule('persn = "x"'), "no condition persn"),
        (rule('kind = "question"'), "kind is person_token"),
        (rule('kind = "mission"'), "its person's to approve"),
        (rule("amount.above = 5"), "must name their currency"),
        (rule('currency = "EUR"\namount.above = 5.5'), "whole numbers"),
        (rule('currency = "EUR"\namount.below = 5'), "above and at_most"),
        (rule(decision="approvers"), r"needs a \[\[rule.step\]\]"),
        ('[[rule]]\ndecision = "approvers"\n[[rule.step]]\nneeded = 1', "names nobody"),
        ('[[rule]]\ndecision = "approvers"\n[[rule.step]]\npeople = ["a", "a"]\nneeded = 2', "needs 2 of 1"),
        (f'[[rule]]\ndecision = "approvers"\n{TWO}deadline = "soon"', "looks like 30m"),
        (f'[[rule]]\ndecision = "approvers"\n{TWO}deadline = "31d"', "at most 30d"),
        (f'[[rule]]\ndecision = "approvers"\n{TWO}deadlien = "3d"', "no member deadlien"),
        (f'[[rule]]\ndecision = "approvers"\nfour_eyes = "no"\n{TWO}', "true or false"),
        (f'[[rule]]\ndecision = "allow"\n{TWO}', "no member step"),
        (rule(decision="deny", more='reason = ""'), "1 to 500"),
    ],
)
def test_what_is_not_understood_is_refused_when_it_is_read(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        PersonRules.read(text)


def test_escalations_end() -> None:
    step = '{ groups = ["g"] }'
    for _ in range(4):
        step = f'{{ groups = ["g"], escalate = {step} }}'
    with pytest.raises(ConfigurationError, match="more than 3 times"):
        PersonRules.read(f'[[rule]]\ndecision = "approvers"\nstep = [{step}]')


async def test_a_changed_file_decides_from_then_on_under_another_version(tmp_path: Path) -> None:
    path, clock = tmp_path / "policy.toml", Clock()
    path.write_text(rule())
    policy = PersonPolicyFile(path, clock=clock)
    before = policy.version
    assert (await policy.decide(FACTS)).decision == ALLOW
    path.write_text(rule(decision="deny"))
    clock.now += 1
    verdict = await policy.decide(FACTS)
    assert isinstance(verdict.decision, Refuse)
    assert verdict.because.version == policy.version != before


def test_a_policy_is_a_toml_file(tmp_path: Path) -> None:
    (tmp_path / "policy.cedar").write_text("permit(principal, action, resource);")
    with pytest.raises(ConfigurationError, match=r"ends in \.toml"):
        load_person_policy(tmp_path / "policy.cedar")
