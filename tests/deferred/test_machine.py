from __future__ import annotations

import itertools

import pytest

from aauthlib.deferred.machine import (
    INITIAL,
    POLLING,
    TERMINAL,
    TRANSITIONS,
    WAITING,
    WIRE_ERRORS,
    WIRE_STATUS,
    Action,
    Event,
    IllegalTransition,
    State,
    transition,
)
from aauthlib.errors import ProblemError

#: The diagram of the specification, line by line.
SPEC_INITIAL = {
    200: Action.DONE,  # done, process response body
    202: Action.POLL,  # note Location URL, check requirement/code
    400: Action.FAIL,  # invalid request
    401: Action.CHALLENGE,  # check credentials; obtain auth token if resource challenge
    402: Action.SETTLE,  # payment required (settle payment, poll Location)
    500: Action.FAIL,  # server error, start over
    502: Action.FAIL,  # as_unreachable, fresh resource token
    503: Action.BACK_OFF,  # back off per Retry-After, retry
}
SPEC_POLLING = {
    200: Action.DONE,
    202: Action.POLL,
    403: Action.FAIL,  # denied or abandoned
    408: Action.FAIL,  # expired
    410: Action.FAIL,  # gone, MUST NOT retry
    429: Action.SLOW_DOWN,  # increase interval by 5s
    500: Action.FAIL,
    502: Action.FAIL,
    503: Action.BACK_OFF,
}
#: The table of polling errors: code and status.
SPEC_ERRORS = {
    State.DENIED: ("denied", 403),
    State.ABANDONED: ("abandoned", 403),
    State.EXPIRED: ("expired", 408),
    State.REVOKED: ("revoked", 403),
    State.INVALID_CODE: ("invalid_code", 410),
    State.FAILED: ("server_error", 500),
}
LEGAL = [(state, event) for state, row in TRANSITIONS.items() for event in row]
ILLEGAL = [pair for pair in itertools.product(State, Event) if pair not in LEGAL]


@pytest.mark.spec("#deferred-response-state-machine")
def test_the_first_answer_is_handled_as_the_diagram_says() -> None:
    assert INITIAL == SPEC_INITIAL


@pytest.mark.spec("#deferred-response-state-machine")
def test_a_poll_is_handled_as_the_diagram_says() -> None:
    ours = dict(POLLING)
    # A pending URL is signed for and may ask for payment like any other: the first answer's two lines hold here too.
    assert (ours.pop(401), ours.pop(402)) == (Action.CHALLENGE, Action.SETTLE)
    assert ours == SPEC_POLLING


@pytest.mark.spec("#polling-error-codes")
def test_every_way_to_end_is_told_with_the_code_and_status_of_the_specification() -> None:
    wire = {state: (error.code, error.status) for state, error in WIRE_ERRORS.items()}

    for state in (State.DELIVERED, State.CANCELLED):
        assert wire.pop(state)[1] == 410
    assert wire == SPEC_ERRORS
    assert all(issubclass(error, ProblemError) for error in WIRE_ERRORS.values())


@pytest.mark.spec("#pending-response")
def test_every_waiting_state_has_a_status_an_agent_knows() -> None:
    assert WIRE_STATUS.keys() == WAITING
    assert set(WIRE_STATUS.values()) == {"pending", "interacting"}
    assert WIRE_STATUS[State.INTERACTING] == "interacting"


@pytest.mark.spec("#pending-url-security")
def test_every_state_either_waits_or_ends_or_is_gone() -> None:
    assert set(State) == WAITING | TERMINAL
    assert not WAITING & TERMINAL
    assert TRANSITIONS.keys() == set(State)
    assert {state for state, row in TRANSITIONS.items() if not row} == {State.DELIVERED, State.CANCELLED}


@pytest.mark.spec("#pending-url-security")
def test_nothing_that_ended_ever_waits_again() -> None:
    for state in TERMINAL:
        assert set(TRANSITIONS[state].values()) <= TERMINAL


@pytest.mark.spec("#token-revocation")
def test_only_what_is_granted_still_can_be_delivered() -> None:
    assert [state for state, row in TRANSITIONS.items() if Event.DELIVER in row] == [State.GRANTED]
    assert transition(State.GRANTED, Event.REVOKE) is State.REVOKED


@pytest.mark.spec("#polling-error-codes")
def test_an_error_is_given_out_once() -> None:
    for state in SPEC_ERRORS:
        assert TRANSITIONS[state] == {Event.REPORT: State.DELIVERED}


@pytest.mark.parametrize("state", sorted(WAITING))
@pytest.mark.spec("#deferred-response-state-machine")
def test_whatever_waits_can_end_in_every_way(state: State) -> None:
    ends = {transition(state, event) for event in TRANSITIONS[state]} & TERMINAL

    assert ends == TERMINAL - {State.DELIVERED}


@pytest.mark.spec("#clarification-chat")
def test_a_question_is_asked_while_the_request_waits_and_answered_once() -> None:
    with pytest.raises(IllegalTransition):
        transition(State.PENDING, Event.ASK)
    assert transition(State.CLARIFYING, Event.ARRIVE) is State.CLARIFYING
    assert transition(State.INTERACTING, Event.ASK) is State.CLARIFYING
    assert transition(State.CLARIFYING, Event.ANSWER) is State.INTERACTING
    with pytest.raises(IllegalTransition):
        transition(State.INTERACTING, Event.ANSWER)


@pytest.mark.parametrize(("state", "event"), ILLEGAL, ids=[f"{state}-{event}" for state, event in ILLEGAL])
def test_what_the_table_does_not_have_is_refused_naming_state_and_event(state: State, event: Event) -> None:
    with pytest.raises(IllegalTransition) as caught:
        transition(state, event)

    assert (caught.value.state, caught.value.event) == (state, event)
    assert f"{state} " in str(caught.value)
    assert str(event) in str(caught.value)
