"""Who approves, as policies write it: TOML, Cedar and Python say the same (#as-decision-logic)."""

from __future__ import annotations

import pytest

from aauthlib.access import Approvers, CallablePolicy, Facts, NeedApproval, RulesPolicy, Step
from aauthlib.access.cedar import CedarPolicy
from aauthlib.errors import ConfigurationError

pytestmark = pytest.mark.spec("#as-decision-logic", "#approval-pending")

FACTS = Facts(
    agent="aauth:a@ap.example",
    provider="https://ap.example",
    person_server="https://ps.example",
    resource="https://bank.example",
    scope=("payments.send",),
)
DAY = 86_400.0
#: Two of finance or Ada within four hours, then the board.
ASKED = Approvers(
    steps=(
        Step(people=("ada",), groups=("finance",), needed=2, deadline_s=14_400.0),
        Step(groups=("board",), deadline_s=DAY),
    ),
    four_eyes=False,
    valid_for_s=600.0,
)

TOML = """
[[rule]]
decision = "approval"
four_eyes = false
valid_for = "10m"
[[rule.step]]
groups = ["finance"]
people = ["ada"]
needed = 2
deadline = "4h"
[[rule.step]]
groups = ["board"]
"""
CEDAR = """
@demand("approval") @approvers("finance, @ada; board") @needed("2; 1") @deadline("4h; 1d")
@four_eyes("false") @valid_for("10m")
permit(principal, action == Action::"demand:approval", resource);
"""
PYTHON = """
from aauthlib.access import Approvers, NeedApproval, Step


def decide(facts):
    finance = Step(people=("ada",), groups=("finance",), needed=2, deadline_s=4 * 3600)
    return NeedApproval(approvers=Approvers(
        steps=(finance, Step(groups=("board",), deadline_s=86400)), four_eyes=False, valid_for_s=600,
    ))
"""


async def asked_by(policy: RulesPolicy | CedarPolicy | CallablePolicy) -> Approvers:
    decision = (await policy.decide(FACTS)).decision
    assert isinstance(decision, NeedApproval)
    return decision.asked


async def test_steps_order_deadline_and_four_eyes_are_the_same_in_every_language() -> None:
    assert await asked_by(RulesPolicy.read(TOML)) == ASKED
    assert await asked_by(CedarPolicy.read(CEDAR)) == ASKED
    assert await asked_by(CallablePolicy.read(PYTHON)) == ASKED


async def test_one_step_can_be_said_in_short() -> None:
    short = Approvers(steps=(Step(people=("ada",), groups=("finance",), needed=2, deadline_s=14_400.0),))
    rule = '[[rule]]\ndecision = "approval"\napprovers = ["finance", "@ada"]\nneeded = 2\ndeadline = "4h"\n'
    assert await asked_by(RulesPolicy.read(rule)) == short
    cedar = CEDAR.replace("; board", "").replace("; 1d", "").replace("; 1", "").replace('@four_eyes("false")', "")
    assert await asked_by(CedarPolicy.read(cedar.replace('@valid_for("10m")', ""))) == short
    assert NeedApproval(approvers=("finance", "@ada"), needed=2, deadline="4h").asked == short


async def test_a_name_is_a_group_and_no_name_is_anybody_who_approves() -> None:
    assert NeedApproval("finance").asked == Approvers(steps=(Step(groups=("finance",), deadline_s=DAY),))
    assert NeedApproval().asked == Approvers(steps=(Step(groups=("approvers",), deadline_s=DAY),))
    assert await asked_by(RulesPolicy.read('[[rule]]\ndecision = "approval"\n')) == NeedApproval().asked


async def test_what_cedar_permits_on_the_approval_of_some_and_of_others_needs_that_of_both() -> None:
    policy = CedarPolicy.read(
        '@id("a") @demand("approval") @approvers("finance") @four_eyes("false") @valid_for("2h")\n'
        'permit(principal, action == Action::"demand:approval", resource);\n'
        '@id("b") @demand("approval") @approvers("legal") @valid_for("10m")\n'
        'permit(principal, action == Action::"demand:approval", resource);\n'
    )
    asked = await asked_by(policy)
    assert {step.groups for step in asked.steps} == {("finance",), ("legal",)}
    assert (asked.four_eyes, asked.valid_for_s) == (True, 600.0)


def test_it_is_said_in_words() -> None:
    assert NeedApproval(approvers=ASKED).said == "2 of finance, @ada, then board"
    assert NeedApproval().said == ""


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ("needed = 0", "whole number"),
        ('approvers = ["@ada"]\nneeded = 2', "needs 2 of 1 people"),
        ('deadline = "soon"', "looks like 30m"),
        ('deadline = "31d"', "at most 30d"),
        ('by = "a"\napprovers = ["b"]', "use one of them"),
        ('by = "a"\n[[rule.step]]\ngroups = ["b"]', "in \\[\\[rule.step\\]\\] or in by"),
        ("[[rule.step]]\nneeded = 1", "names nobody"),
        ('four_eyes = "no"', "true or false"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_when_the_rules_are_read(members: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        RulesPolicy.read(f'[[rule]]\ndecision = "approval"\n{members}\n')


@pytest.mark.parametrize(
    ("notes", "words"),
    [
        ('@approvers("a; b; c") @needed("1; 2")', "one for each step"),
        ('@approvers("a") @needed("two")', "whole number"),
        ('@approvers("a") @four_eyes("yes")', "true or false"),
        ('@approvers("a") @deadline("soon")', "looks like 30m"),
        ('@approvers("@ada") @needed("2")', "needs 2 of 1 people"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_when_cedar_is_read(notes: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        CedarPolicy.read(
            f'@demand("approval") {notes} permit(principal, action == Action::"demand:approval", resource);'
        )


def test_a_python_policy_that_asks_too_few_people_fails_at_once() -> None:
    with pytest.raises(ConfigurationError, match="needs 2 of 1 people"):
        NeedApproval(approvers=("@ada",), needed=2)
