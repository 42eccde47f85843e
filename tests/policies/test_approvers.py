"""Who is heard at a step, what deadlines lead to, and how approvers are written: the same at every role."""

from __future__ import annotations

import tomllib

import pytest

from aauthlib.errors import ConfigurationError
from aauthlib.policies.approver_rules import groups_of, read_approvers
from aauthlib.policies.approvers import Approvers, Place, Seat, Step, asked_now, complete, passed, seat_for

pytestmark = pytest.mark.spec("#approval-pending")

ADA, BO = Seat(person_id="ada", name="Ada"), Seat(person_id="bo", name="Bo")
CEM_AWAY = Seat(person_id="cem", name="Cem", delegate="dee", delegate_name="Dee", away_until=9.0)


def test_with_four_eyes_whoever_it_is_asked_for_has_no_seat() -> None:
    assert asked_now([ADA, BO], requester="ada", four_eyes=True, spoken=()) == [BO]
    assert asked_now([ADA, BO], requester="ada", four_eyes=False, spoken=()) == [ADA, BO]
    assert asked_now([ADA, BO], requester=None, four_eyes=True, spoken=()) == [ADA, BO]


def test_who_has_decided_is_asked_no_more() -> None:
    assert asked_now([ADA, BO], requester=None, four_eyes=True, spoken={"ada"}) == [BO]


@pytest.mark.parametrize(
    ("voter", "seat"), [("bo", "bo"), ("cem", "cem"), ("dee", "cem"), ("eve", "")], ids=lambda value: value or "nobody"
)
def test_one_decides_in_ones_own_place_or_in_that_of_somebody_who_is_away(voter: str, seat: str) -> None:
    assert seat_for([BO, CEM_AWAY], voter, requester=None, four_eyes=True, spoken=()) == seat


def test_four_eyes_hold_for_a_delegate_too() -> None:
    assert seat_for([CEM_AWAY], "dee", requester="dee", four_eyes=True, spoken=()) == ""
    assert seat_for([CEM_AWAY], "dee", requester="dee", four_eyes=False, spoken=()) == "cem"


def test_nobody_is_heard_twice_in_whosever_place() -> None:
    assert seat_for([CEM_AWAY], "dee", requester=None, four_eyes=True, spoken={"dee"}) == ""


def test_every_deadline_that_has_passed_is_dated_to_when_it_did() -> None:
    last = Step(people=("bo",), deadline_s=50.0)
    approvers = Approvers(steps=(Step(people=("ada",), deadline_s=100.0, escalate=last),))
    start = Place(0, 0, 1000.0)
    assert list(passed(approvers, start, now=1099.0)) == []
    assert list(passed(approvers, start, now=1100.0)) == [(1100.0, Place(0, 1, 1100.0))]
    assert list(passed(approvers, start, now=9999.0)) == [(1100.0, Place(0, 1, 1100.0)), (1150.0, None)]


def test_a_step_is_complete_once_as_many_agreed_as_it_needs() -> None:
    step = Step(groups=("finance",), needed=2, deadline_s=1.0)
    assert not complete(step, ["ada"])
    assert complete(step, ["ada", "bo"])


def test_approvers_are_read_with_what_they_are_escalated_to() -> None:
    table = tomllib.loads(
        """
        [[step]]
        people = ["ada"]
        deadline = "30m"
        escalate = { groups = ["board"], needed = 2, deadline = "1d" }
        [[step]]
        groups = ["finance"]
        """
    )
    read = read_approvers(table, "Rule 1")
    board = Step(groups=("board",), needed=2, deadline_s=86_400.0)
    assert read.steps == (
        Step(people=("ada",), deadline_s=1800.0, escalate=board),
        Step(groups=("finance",), deadline_s=86_400.0),
    )
    assert (read.four_eyes, read.valid_for_s) == (True, 3600.0)
    assert groups_of(read.steps) == {"board", "finance"}


def test_more_than_the_people_who_are_named_cannot_be_needed() -> None:
    with pytest.raises(ConfigurationError, match="needs 2 of 1 people"):
        read_approvers({"step": [{"people": ["ada"], "needed": 2}]}, "Rule 1")
