"""Exchanges in words, whatever the other party sends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.cli.exchanges import Exchange
from aauthlib.cli.exits import Exit, exit_code
from aauthlib.cli.narrate import credential, explain, first_line
from aauthlib.cli.screen import safe
from aauthlib.cli.transcript import transcript_lines
from aauthlib.discovery import TransportError
from aauthlib.errors import ConfigurationError, Denied, Expired, InvalidIdentifier, InvalidSignature
from aauthlib.http import Fields, Request, Response, json_response

GET = Request("GET", "https://api.example/events")


def _exchange(response: Response | None, request: Request = GET) -> Exchange:
    return Exchange(1, 0.0, "agent", "calendar", request, response, None if response else "no answer")


def test_a_challenge_is_explained_with_what_it_asks():
    response = Response(401, Fields({"aauth-requirement": "requirement=person-token"}))
    assert explain(_exchange(response)) == [
        "calendar wants to know for whom the agent acts (requirement=person-token)."
    ]


def test_a_refused_signature_is_explained_in_plain_words():
    lines = explain(_exchange(Response(401, Fields({"signature-error": "error=expired_jwt"}))))
    assert lines == ["calendar refuses: the token has expired (expired_jwt)."]


def test_the_secret_end_of_a_pending_url_stays_off_the_screen():
    secret = "A" * 43
    request = Request("GET", f"https://person.example/pending/{secret}")
    assert secret not in first_line(_exchange(Response(202), request))
    response = Response(202, Fields({"location": f"https://person.example/pending/{secret}"}))
    assert all(secret not in line for line in transcript_lines(_exchange(response)))


@pytest.mark.spec("#requirement-clarification")
def test_a_question_of_the_persons_is_told_with_its_choices():
    asked = json_response(
        202,
        {"status": "pending", "clarification": "For how long?", "options": ["A day", "A week", 7]},
        headers=[("aauth-requirement", "requirement=clarification")],
    )
    assert explain(_exchange(asked)) == [
        "calendar has a question from the person to the agent (requirement=clarification).",
        "The question: For how long?",
        "To choose from: A day | A week",
    ]


@pytest.mark.spec("#agent-response-to-clarification")
@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"action": "clarification_response", "clarification_response": "A day."}, "The agent answers: A day."),
        (
            {"action": "updated_request", "resource_token": "secret", "presented_token": "secret"},
            "The agent asks for something else instead, with a new resource token.",
        ),
    ],
)
def test_what_the_agent_answers_is_told(said, told):
    request = Request("POST", "https://ps.example/pending/x", Fields({}), json_response(200, said).body)
    assert explain(_exchange(Response(202), request))[0] == told


@pytest.mark.spec("#cancel-request")
def test_a_withdrawal_is_told():
    request = Request("DELETE", "https://ps.example/pending/x")
    assert explain(_exchange(Response(204), request)) == ["The agent withdraws its request."]


@given(st.text(alphabet=st.characters(codec="latin-1"), max_size=80), st.text(max_size=40), st.integers(100, 599))
def test_nothing_another_party_sends_can_stop_the_story(header, key, status):
    fields = Fields({"aauth-requirement": header, "signature-error": header, "accept-signature-scheme": header})
    exchange = _exchange(
        Response(status, fields, header.encode()), Request("GET", "https://a.example/", Fields({"signature-key": key}))
    )
    assert isinstance(credential(exchange.request), str)
    assert all(isinstance(line, str) for line in [*explain(exchange), *transcript_lines(exchange)])


def test_control_characters_of_others_do_not_reach_the_terminal():
    assert safe("\x1b[2Jgone[red]") == "\\x1b[2Jgone\\[red]"


def test_each_kind_of_failure_has_its_documented_exit_code():
    assert exit_code(Denied()) == Exit.DENIED == 3
    assert exit_code(Expired()) == Exit.TIMED_OUT == 4
    assert exit_code(TransportError()) == Exit.UNREACHABLE == 5
    assert exit_code(InvalidSignature()) == Exit.REFUSED == 6
    assert exit_code(InvalidIdentifier()) == exit_code(ConfigurationError()) == Exit.USAGE == 2
