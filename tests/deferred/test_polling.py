from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import msgspec
import pytest

from aauthlib.deferred.polling import PollPolicy, UnsupportedRequirement, follow, withdraw
from aauthlib.effects import Answer, Direct, Report, Send, Sleep, UpdatedRequest
from aauthlib.errors import AAuthError, Expired, InvalidRequest, NotFound
from aauthlib.http import Fields, Request, Response

URL = "https://ps.example/token"
PENDING = "https://ps.example/pending/abc"
START = 1_800_000_000.0


def accepted(requirement: str | None = None, body: object = None, **headers: str | None) -> Response:
    """A `202` with `Location` and `Retry-After: 0` unless told otherwise."""
    fields = {
        "location": "/pending/abc",
        "retry-after": "0",
        "aauth-requirement": requirement,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    raw = body if isinstance(body, bytes) else msgspec.json.encode({"status": "pending"} if body is None else body)
    return Response(202, Fields({name: value for name, value in fields.items() if value is not None}), raw)


def answer(status: int, retry_after: str | None = None, **body: Any) -> Response:
    return Response(status, Fields({"retry-after": retry_after} if retry_after else {}), msgspec.json.encode(body))


DONE = answer(200, auth_token="t")


class Client:
    """Drives `follow` by hand: gives the server's answers in order, lets the clock run, keeps what was asked for."""

    def __init__(self, *answers: Response, reply: str | UpdatedRequest | None = None, round_s: float = 0.0) -> None:
        self.answers = list(answers)
        self.reply = reply
        self.round_s = round_s
        self.now = START
        self.sent: list[Request] = []
        self.timeouts_s: list[float] = []
        self.slept: list[float] = []
        self.directed: list[Direct] = []
        self.asked: list[Answer] = []
        self.reports: list[Report] = []
        self.opened: list[str] = []
        self.closed: list[str] = []

    def run(self, first: Response, **options: Any) -> Response:
        flow = follow(
            first,
            url=options.pop("url", URL),
            sign=lambda request: request.with_headers(signed="yes"),
            clock=lambda: self.now,
            policy=options.pop("policy", PollPolicy()),
            on_open=self.opened.append,
            on_close=self.closed.append,
            **options,
        )
        value: object = None
        try:
            while True:
                value = self._carry_out(flow.send(value))
        except StopIteration as end:
            result: Response = end.value
            return result

    def _carry_out(self, effect: object) -> object:
        match effect:
            case Send(request=request, timeout_s=timeout_s):
                self.sent.append(request)
                self.timeouts_s.append(timeout_s)
                self.now += self.round_s
                return self.answers.pop(0)
            case Sleep(seconds=seconds):
                self.slept.append(seconds)
                self.now += seconds
            case Direct():
                self.directed.append(effect)
            case Answer():
                self.asked.append(effect)
                return self.reply
            case Report():
                self.reports.append(effect)
            case _:
                raise AssertionError(effect)
        return None

    @property
    def wire(self) -> list[tuple[str, str]]:
        return [(request.method, request.url) for request in self.sent]


# --------------------------------------------------------------------------- the diagram


@pytest.mark.spec("#polling-with-get")
def test_a_poll_is_a_signed_get_of_the_location_that_says_how_long_it_waits() -> None:
    client = Client(DONE)

    assert client.run(accepted(), policy=PollPolicy(wait_s=20)) is DONE

    [poll] = client.sent
    assert (poll.method, poll.url, poll.body) == ("GET", PENDING, b"")
    assert poll.headers.get("prefer") == "wait=20"
    assert poll.headers.get("accept") == "application/json"
    assert poll.headers.get("signed") == "yes"
    assert client.timeouts_s == [35.0]  # the server may take the whole wait, and then needs time to answer


@pytest.mark.spec("#deferred-response-state-machine")
def test_a_202_goes_on_and_on_until_it_is_none() -> None:
    client = Client(accepted(), accepted(), accepted(), DONE)

    assert client.run(accepted()) is DONE
    assert client.wire == [("GET", PENDING)] * 4


@pytest.mark.parametrize("status", [200, 204, 302, 400, 401, 402, 403, 404, 408, 410, 418, 500, 502, 504])
@pytest.mark.spec("#deferred-response-state-machine")
def test_any_other_status_ends_the_polling_and_is_returned(status: int) -> None:
    last = answer(status, error="x")
    client = Client(last)

    assert client.run(accepted()) is last
    assert (client.opened, client.closed) == ([PENDING], [PENDING])


@pytest.mark.spec("#polling-error-codes", "#polling-with-get")
def test_each_429_adds_five_seconds_for_good() -> None:
    client = Client(answer(429, "0"), accepted(retry_after="2"), answer(429, "0"), accepted(retry_after="0"), DONE)

    client.run(accepted())

    assert client.slept == [5.0, 7.0, 10.0, 10.0]


@pytest.mark.spec("#deferred-response-state-machine")
def test_a_503_is_tried_again_after_what_it_asks() -> None:
    client = Client(answer(503, "7"), answer(503), DONE)

    assert client.run(accepted()) is DONE
    assert client.slept == [7.0, 5.0]


@pytest.mark.spec("#deferred-response-state-machine")
def test_a_server_in_trouble_is_never_tried_in_a_tight_loop() -> None:
    client = Client(*[answer(503, "0")] * 50, DONE)

    client.run(accepted())

    assert len(client.slept) == 50
    assert min(client.slept) >= 1


# --------------------------------------------------------------------------- Retry-After


@pytest.mark.parametrize(
    ("value", "pause_s"),
    [
        ("0", []),
        ("3", [3.0]),
        ("600", [600.0]),
        (None, [5.0]),
        ("soon", [5.0]),
        ("-3", [5.0]),
        ("1.5", [5.0]),
        (formatdate(START + 30, usegmt=True), [30.0]),
        (formatdate(START - 30, usegmt=True), []),
        ("Mon, 01 Jan 2020 00:00:00 +99999999999999", [5.0]),
    ],
)
@pytest.mark.spec("#polling-with-get")
def test_retry_after_is_respected_in_each_of_its_forms(value: str | None, pause_s: list[float]) -> None:
    client = Client(DONE)

    client.run(accepted(retry_after=value))

    assert client.slept == pause_s


# --------------------------------------------------------------------------- Location


@pytest.mark.parametrize(
    "location",
    [
        "/pending/abc", "pending/abc", "https://ps.example/pending/abc", "//ps.example/pending/abc",
    ],
)  # fmt: skip
@pytest.mark.spec("#pending-response")
def test_a_location_may_be_relative(location: str) -> None:
    client = Client(DONE)

    client.run(accepted(location=location))

    assert client.wire == [("GET", PENDING)]


@pytest.mark.parametrize(
    "location",
    [
        None,
        "",
        "https://evil.example/pending/abc",
        "//evil.example/pending/abc",
        "http://ps.example/pending/abc",
        "https://ps.example:8443/pending/abc",
        "https://ps.example@evil.example/pending/abc",
        "https://ps.example.evil.example/pending/abc",
        "https://PS.example/pending/abc",
        "https://[bad/pending",
        "mailto:ps@ps.example",
        "javascript:alert(1)",
        "/pending/abc#fragment",
    ],
)
@pytest.mark.spec("#pending-response")
def test_a_pending_url_on_another_origin_or_none_is_not_polled(location: str | None) -> None:
    client = Client()

    with pytest.raises(AAuthError):
        client.run(accepted(location=location))
    assert client.sent == []


@pytest.mark.spec("#pending-response")
def test_a_pending_url_does_not_move() -> None:
    client = Client(accepted(location="/pending/other"))

    with pytest.raises(AAuthError):
        client.run(accepted())


@pytest.mark.spec("#polling-with-get")
def test_a_later_202_need_not_repeat_the_location() -> None:
    client = Client(accepted(location=None), DONE)

    assert client.run(accepted()) is DONE
    assert client.wire == [("GET", PENDING)] * 2


# --------------------------------------------------------------------------- status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"status": "pending"}, "pending"),
        ({"status": "interacting"}, "interacting"),
        ({"status": "contemplating"}, "pending"),
        ({"status": 7}, "pending"),
        ({}, "pending"),
        ([], "pending"),
        (b"", "pending"),
        (b"not json", "pending"),
        (b"[" * 100_000, "pending"),
    ],
)
@pytest.mark.spec("#pending-response")
def test_a_status_that_is_not_known_counts_as_pending(body: object, status: str) -> None:
    client = Client(DONE)

    assert client.run(accepted(body=body)) is DONE
    assert [report.details["status"] for report in client.reports] == [status]


# --------------------------------------------------------------------------- requirements


INTERACTION = 'requirement=interaction;url="https://ps.example/interaction/x";code="A1B2-C3D4"'


@pytest.mark.spec("#interaction-required")
def test_the_person_is_directed_once_however_often_it_is_asked() -> None:
    client = Client(accepted(INTERACTION), accepted("requirement=interaction"), accepted(), DONE)

    client.run(accepted(INTERACTION))

    [direct] = client.directed
    assert (direct.url, direct.code, direct.server) == (
        "https://ps.example/interaction/x", "A1B2-C3D4", "https://ps.example",
    )  # fmt: skip


@pytest.mark.spec("#interaction-required")
def test_an_interaction_may_be_asked_for_later() -> None:
    client = Client(accepted(INTERACTION), DONE)

    client.run(accepted())

    assert len(client.directed) == 1


@pytest.mark.parametrize(
    "header",
    ["requirement=interaction", 'requirement=interaction;url="https://a.example/"', 'requirement=interaction;code="A"'],
)
@pytest.mark.spec("#interaction-required")
def test_an_interaction_without_url_and_code_breaks_the_protocol(header: str) -> None:
    client = Client()

    with pytest.raises(AAuthError):
        client.run(accepted(header))
    assert client.directed == []


@pytest.mark.spec("#approval-pending")
def test_an_approval_needs_nothing_but_patience() -> None:
    client = Client(accepted("requirement=approval"), DONE)

    assert client.run(accepted("requirement=approval", retry_after="30")) is DONE
    assert client.slept == [30.0]


@pytest.mark.spec("#requirement-values")
def test_an_unknown_requirement_is_an_error_for_the_caller() -> None:
    client = Client()

    with pytest.raises(UnsupportedRequirement) as caught:
        client.run(accepted("requirement=levitation"))

    assert caught.value.requirement is not None
    assert caught.value.requirement.value == "levitation"
    assert "levitation" in str(caught.value)
    assert client.sent == []


@pytest.mark.spec("#requirement-values")
def test_a_client_may_go_on_polling_past_an_unknown_requirement() -> None:
    client = Client(accepted(), DONE)

    assert client.run(accepted("requirement=levitation"), unknown_requirement_ok=True) is DONE


@pytest.mark.parametrize("header", ["", "=", "interaction", "requirement", 'requirement="interaction"', "é"])
@pytest.mark.spec("#aauth-requirement-header-structure")
def test_a_requirement_that_cannot_be_read_is_an_error_for_the_caller(header: str) -> None:
    with pytest.raises(AAuthError):
        Client().run(accepted(header))


# --------------------------------------------------------------------------- clarification


def question(text: object = "Why?", **more: Any) -> Response:
    return accepted("requirement=clarification", {"status": "pending", "clarification": text, **more})


@pytest.mark.spec("#requirement-clarification", "#clarification-response")
def test_a_question_is_answered_by_a_signed_post_and_polling_goes_on() -> None:
    client = Client(accepted(), DONE, reply="Because.")

    assert client.run(question(options=["a", 7, "b"], timeout=120)) is DONE

    [asked] = client.asked
    assert (asked.question, asked.options, asked.timeout_s) == ("Why?", ("a", "b"), 120.0)
    post = client.sent[0]
    assert (post.method, post.url, post.headers.get("content-type")) == ("POST", PENDING, "application/json")
    assert post.headers.get("signed") == "yes"
    assert msgspec.json.decode(post.body) == {
        "action": "clarification_response", "clarification_response": "Because.",
    }  # fmt: skip
    assert client.wire[1:] == [("GET", PENDING)]


@pytest.mark.spec("#updated-request")
@pytest.mark.parametrize("said", [{}, {"justification": "Less will do."}])
def test_an_updated_request_is_posted_with_its_reason_if_it_has_one(said: dict[str, str]) -> None:
    client = Client(accepted(), DONE, reply=UpdatedRequest("new-resource", "presented", **said))

    assert client.run(question()) is DONE

    assert msgspec.json.decode(client.sent[0].body) == {
        "action": "updated_request", "resource_token": "new-resource", "presented_token": "presented", **said,
    }  # fmt: skip


@pytest.mark.parametrize("timeout", [True, -1, 0, "120", None, [], 10**400])
@pytest.mark.spec("#requirement-clarification")
def test_a_timeout_that_is_no_time_is_no_deadline(timeout: Any) -> None:
    raw = '{"clarification":"Why?","timeout":%s}' % (
        "1" + "0" * 400 if timeout == 10**400 else msgspec.json.encode(timeout).decode()
    )
    client = Client(accepted(), DONE, reply="Because.")

    client.run(accepted("requirement=clarification", raw.encode()))

    assert client.asked[0].timeout_s is None


@pytest.mark.parametrize(("timeout", "kept"), [(0.5, 0.5), (1, 1.0), (10**9, 1e9), (10**9 + 1, None)])
@pytest.mark.spec("#requirement-clarification")
def test_a_timeout_from_an_instant_to_thirty_years_is_one(timeout: float, kept: float | None) -> None:
    client = Client(accepted(), DONE, reply="Because.")

    client.run(question(timeout=timeout))

    assert client.asked[0].timeout_s == kept


@pytest.mark.spec("#cancel-request")
def test_a_question_nobody_answers_withdraws_the_request() -> None:
    client = Client(answer(200), reply=None)

    with pytest.raises(UnsupportedRequirement) as caught:
        client.run(question())

    assert caught.value.requirement is not None
    assert caught.value.requirement.value == "clarification"

    assert client.wire == [("DELETE", PENDING)]
    assert client.closed == [PENDING]


@pytest.mark.parametrize("text", [None, 7, []])
@pytest.mark.spec("#requirement-clarification")
def test_a_clarification_without_a_question_withdraws_the_request(text: object) -> None:
    client = Client(answer(200), reply="Because.")

    with pytest.raises(UnsupportedRequirement):
        client.run(question(text))
    assert client.asked == []


@pytest.mark.spec("#clarification-limits")
def test_the_sixth_question_withdraws_the_request() -> None:
    rounds = [response for _ in range(5) for response in (answer(200), question())]
    client = Client(*rounds, answer(200), reply="Because.")

    with pytest.raises(UnsupportedRequirement):
        client.run(question())

    assert len(client.asked) == 5
    assert client.wire[-1] == ("DELETE", PENDING)


@pytest.mark.parametrize(("status", "error"), [(400, InvalidRequest), (404, NotFound)])
@pytest.mark.spec("#clarification-response")
def test_an_answer_that_is_refused_ends_the_exchange(status: int, error: type[AAuthError]) -> None:
    client = Client(answer(status), reply="Because.")

    with pytest.raises(error):
        client.run(question())


# --------------------------------------------------------------------------- the end of patience


@pytest.mark.spec("#polling-error-codes")
def test_a_client_gives_up_at_its_deadline() -> None:
    client = Client(*[accepted(retry_after="30")] * 20)

    with pytest.raises(Expired):
        client.run(accepted(retry_after="30"), policy=PollPolicy(deadline_s=100))

    assert client.now <= START + 100
    assert len(client.sent) == 3
    assert client.closed == []  # it is still open at the server: whoever drives this withdraws it


@pytest.mark.spec("#polling-with-get")
def test_a_server_that_asks_for_more_patience_than_there_is_is_not_asked_sooner() -> None:
    client = Client()

    with pytest.raises(Expired):
        client.run(accepted(retry_after="901"), policy=PollPolicy(deadline_s=900))
    assert client.slept == []


@pytest.mark.spec("#polling-with-get")
def test_a_poll_just_at_the_deadline_is_still_sent() -> None:
    client = Client(DONE)

    assert client.run(accepted(retry_after="100"), policy=PollPolicy(deadline_s=100)) is DONE
    assert client.sent[0].headers.get("prefer") == "wait=0"


@pytest.mark.spec("#pending-response")
def test_whoever_watches_is_told_for_how_long_it_has_been_waiting() -> None:
    client = Client(accepted(body={"status": "interacting"}), DONE, round_s=20)

    client.run(accepted())

    assert [(report.event, dict(report.details)) for report in client.reports] == [
        ("waiting", {"url": PENDING, "status": "pending", "since_s": 0.0}),
        ("waiting", {"url": PENDING, "status": "interacting", "since_s": 20.0}),
    ]


@pytest.mark.spec("#polling-with-get")
def test_no_server_is_asked_to_hold_an_answer_beyond_the_deadline() -> None:
    client = Client(*[accepted()] * 20, round_s=45)

    with pytest.raises(Expired):
        client.run(accepted(), policy=PollPolicy(deadline_s=60.5))
    assert [request.headers.get("prefer") for request in client.sent] == ["wait=45", "wait=16"]
    assert client.timeouts_s == [60.0, 31.0]


@pytest.mark.spec("#polling-with-get")
def test_the_time_that_long_polls_take_counts() -> None:
    client = Client(*[accepted()] * 20, round_s=45)

    with pytest.raises(Expired):
        client.run(accepted(), policy=PollPolicy(deadline_s=100))
    assert len(client.sent) == 3


@pytest.mark.spec("#cancel-request")
def test_withdrawing_is_a_signed_delete() -> None:
    sign: Callable[[Request], Request] = lambda request: request.with_headers(signed="yes")  # noqa: E731
    flow = withdraw(PENDING, sign)

    effect = next(flow)

    assert isinstance(effect, Send)
    assert (effect.request.method, effect.request.url) == ("DELETE", PENDING)
    assert effect.request.headers.get("signed") == "yes"
    assert effect.timeout_s == 5.0  # whoever stops does not want to wait for it
    with pytest.raises(StopIteration):
        flow.send(Response(200))
