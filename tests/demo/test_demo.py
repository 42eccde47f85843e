"""The demo as a whole: every step has the outcome it promises, over real HTTP."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from aauthlib.cli.app import app
from aauthlib.cli.exchanges import Exchange, Exchanges, Note
from aauthlib.demo.parties import Lane, lanes
from aauthlib.demo.sequence import render_sequence
from aauthlib.demo.steps import STEPS
from aauthlib.effects import Send
from aauthlib.http import Fields, Request, Response


@pytest.mark.spec("#deferred-auth-token", "#proof-of-possession")
def test_the_unattended_demo_walks_the_whole_ladder_and_every_step_comes_out_as_promised():
    result = CliRunner().invoke(app, ["demo", "--yes", "--no-browser", "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout.strip().splitlines()[-1])
    assert document["ok"] is True
    assert [step["ok"] for step in document["steps"]] == [True] * len(STEPS)


def test_the_sequence_page_shows_what_was_sent_and_runs_none_of_it():
    exchanges = Exchanges(lambda: 0.0, names={"https://calendar.example": "calendar"})
    exchanges.note("A step", "step")
    request = Request("GET", "https://calendar.example/<script>alert(1)</script>", Fields({"x-note": "<b>bold</b>"}))
    exchanges.record("agent", Send(request), Response(200, Fields(), b'{"name": "<img src=x onerror=alert(1)>"}'))
    html = render_sequence(exchanges, [Lane("agent", "Agent", ""), Lane("calendar", "Calendar", "")], title="T")
    assert "<script" not in html and "<img" not in html and "<b>" not in html
    assert "&lt;script&gt;" in html and "A step" in html


def test_exchanges_are_bounded_and_numbered():
    exchanges = Exchanges(lambda: 1.0)
    for number in range(1100):
        exchanges.note(str(number))
    assert len(exchanges.entries) == 1000
    first = exchanges.entries[0]
    assert isinstance(first, Note) and first.text == "100"
    exchange = exchanges.record("agent", Send(Request("GET", "https://a.example/x")), None, "no answer")
    assert isinstance(exchange, Exchange) and exchange.number == 1101 and exchange.receiver == "a.example"


def test_lanes_name_every_party_that_speaks():
    class Places:
        calendar, expenses, person, access, provider = "http://c", "http://e", "http://p", "http://s", "http://a"
        trips, hotels = "http://t", "http://h"

    assert [lane.key for lane in lanes(Places())] == [  # type: ignore[arg-type]
        "somebody else",
        "agent",
        "trips",
        "hotels",
        "calendar",
        "expenses",
        "person server",
        "access server",
        "agent provider",
    ]
