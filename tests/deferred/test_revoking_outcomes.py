"""How revoking a token elsewhere can end, one request and one report at a time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aauthlib.deferred.revoking import RECORDED, UNAVAILABLE, UNSUPPORTED, Revoked, revoke_at
from aauthlib.effects import FindMetadata, Report, Send, Sleep
from aauthlib.errors import AAuthError, IssuerMismatch
from aauthlib.http import Fields, Request, Response
from aauthlib.messages.metadata import AccessServerMetadata, ResourceMetadata

RESOURCE = "https://api.example"
ENDPOINT = f"{RESOURCE}/aauth/revoke"
DOCUMENT = {"issuer": RESOURCE, "revocation_endpoint": ENDPOINT}


class Recipient:
    """Answers the flow: metadata first, then each request in turn. An error is thrown in."""

    def __init__(self, *answers: Response | AAuthError, document: Any = DOCUMENT) -> None:
        self.answers = list(answers)
        self.document = document
        self.asked: list[FindMetadata] = []
        self.sends: list[Send] = []
        self.now = 1_800_000_000.0

    def run(self, recipient: str = RESOURCE, role: Any = ResourceMetadata, **options: Any) -> Revoked:
        flow = revoke_at(
            recipient,
            role,
            jti="token-1",
            exp=1_800_000_300.9,
            sign=lambda request: request.with_headers(signed="yes"),
            clock=lambda: self.now,
            **options,
        )
        answer: Any = None
        try:
            while True:
                effect = flow.throw(answer) if isinstance(answer, AAuthError) else flow.send(answer)
                answer = self._carry_out(effect)
        except StopIteration as end:
            result: Revoked = end.value
            return result

    def _carry_out(self, effect: object) -> object:
        match effect:
            case FindMetadata():
                self.asked.append(effect)
                return self.document
            case Send():
                self.sends.append(effect)
                return self.answers.pop(0)
            case Sleep(seconds=seconds):
                self.now += seconds
            case Report():
                pass
            case _:
                raise AssertionError(effect)
        return None

    @property
    def sent(self) -> list[Request]:
        return [effect.request for effect in self.sends]


def answer(status: int, body: Any = None, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
    return Response(status, Fields(headers), raw)


@pytest.mark.spec("#revocation-request")
def test_a_revocation_is_a_signed_post_of_jti_and_exp_to_the_endpoint_in_the_metadata() -> None:
    recipient = Recipient(answer(200))

    assert recipient.run() == Revoked(RECORDED)

    assert recipient.asked == [FindMetadata(RESOURCE, "aauth-resource.json")]
    [request] = recipient.sent
    assert (request.method, request.url) == ("POST", ENDPOINT)
    assert msgspec.json.decode(request.body) == {"jti": "token-1", "exp": 1_800_000_300}
    assert request.headers.get("content-type") == "application/json"
    assert request.headers.get("signed") == "yes"
    assert "prefer" not in request.headers


@pytest.mark.parametrize(
    ("options", "timeout_s", "prefer"),
    [({}, 5.0, None), ({"timeout_s": 2.0}, 2.0, None), ({"timeout_s": 2.0, "wait_s": 20}, 22.0, "wait=20")],
)
@pytest.mark.spec("#revocation-request")
def test_the_request_may_take_as_long_as_it_was_allowed_to_and_no_longer(
    options: dict[str, Any], timeout_s: float, prefer: str | None
) -> None:
    recipient = Recipient(answer(200))

    recipient.run(**options)

    [send] = recipient.sends
    assert (send.timeout_s, send.max_body_bytes) == (timeout_s, 65_536)
    assert send.request.headers.get("prefer") == prefer


@pytest.mark.spec("#revocation-request")
def test_a_recipient_without_an_endpoint_is_not_asked() -> None:
    recipient = Recipient(document={"issuer": RESOURCE})

    assert recipient.run() == Revoked(UNSUPPORTED)
    assert recipient.sends == []


@pytest.mark.parametrize(
    "document",
    [{}, {"issuer": "https://other.example", "revocation_endpoint": ENDPOINT}, {**DOCUMENT, "revocation_endpoint": 7}],
)
@pytest.mark.spec("#metadata-documents")
def test_a_recipient_whose_metadata_cannot_be_used_is_unavailable(document: Any) -> None:
    recipient = Recipient(document=document)

    assert recipient.run() == Revoked(UNAVAILABLE)
    assert recipient.sends == []


@pytest.mark.spec("#revocation-request")
def test_a_recipient_on_this_machine_is_for_development_only() -> None:
    local = "http://resource.localhost:8000"
    document = {"issuer": local, "revocation_endpoint": f"{local}/revoke"}

    assert Recipient(answer(200), document=document).run(local) == Revoked(UNAVAILABLE)
    assert Recipient(answer(200), document=document).run(local, dev=True) == Revoked(RECORDED)


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (answer(401, None, **{"signature-error": "error=invalid_signature"}), UNAVAILABLE),
        (answer(403, {"error": "unsupported_iss"}), UNSUPPORTED),
        (answer(400, {"error": "unsupported_iss"}), UNSUPPORTED),
        (answer(400, {"error": "invalid_request"}), UNAVAILABLE),
        (answer(201), UNAVAILABLE),
        (answer(204), UNAVAILABLE),
        (answer(500), UNAVAILABLE),
        (IssuerMismatch("Another issuer."), UNAVAILABLE),
    ],
)
@pytest.mark.spec("#revocation-response")
def test_what_the_recipient_answers_decides_the_outcome(response: Response | AAuthError, outcome: str) -> None:
    assert Recipient(response).run() == Revoked(outcome)


@pytest.mark.spec("#revocation-response")
def test_an_access_server_reports_what_became_of_each_resource() -> None:
    downstream = [
        {"recipient": "https://a.example"},
        {"recipient": "https://b.example", "error": "revocation_unavailable"},
        {"recipient": "https://c.example", "error": 7},
        {"recipient": 7, "error": "x"},
        {"error": "x"},
    ]

    found = Recipient(answer(200, {"downstream": downstream})).run(role=AccessServerMetadata, recipient=RESOURCE)

    assert found == Revoked(UNAVAILABLE)  # this document lacks what an access server must publish
    document = {**DOCUMENT, "jwks_uri": f"{RESOURCE}/jwks.json", "auth_token_endpoint": f"{RESOURCE}/token"}
    recipient = Recipient(answer(200, {"downstream": downstream}), document=document)
    assert recipient.run(role=AccessServerMetadata) == Revoked(
        RECORDED,
        (("https://a.example", None), ("https://b.example", "revocation_unavailable"), ("https://c.example", None)),
    )
    assert recipient.asked == [FindMetadata(RESOURCE, "aauth-access.json")]


@pytest.mark.spec("#revocation-response")
def test_no_more_than_a_thousand_reports_are_kept() -> None:
    downstream = [{"recipient": f"https://r{number}.example"} for number in range(1_001)]

    found = Recipient(answer(200, {"downstream": downstream})).run()

    assert len(found.downstream) == 1_000
    assert found.downstream[-1] == ("https://r999.example", None)


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'"recorded"', {"downstream": {}}, {"downstream": "x"}, {"downstream": [{}, 7]}]
)
@pytest.mark.spec("#revocation-response")
def test_a_report_that_cannot_be_read_confirms_nothing(body: Any) -> None:
    assert Recipient(answer(200, body)).run() == Revoked(UNAVAILABLE)


@pytest.mark.parametrize("body", [None, {}, {"downstream": []}])
@pytest.mark.spec("#revocation-response")
def test_a_confirmation_without_a_report_is_one(body: Any) -> None:
    assert Recipient(answer(200, body)).run() == Revoked(RECORDED)


@pytest.mark.spec("#revocation-response", "#polling-with-get")
def test_a_recipient_that_needs_time_is_polled_to_the_end() -> None:
    waiting = answer(202, {"status": "pending"}, location="/aauth/pending/1", **{"retry-after": "5"})
    recipient = Recipient(waiting, waiting, answer(200))

    assert recipient.run() == Revoked(RECORDED)

    assert [(request.method, request.url) for request in recipient.sent[1:]] == [
        ("GET", f"{RESOURCE}/aauth/pending/1")
    ] * 2
    assert recipient.sent[1].headers.get("prefer") == "wait=10"
    assert recipient.sent[1].headers.get("signed") == "yes"
    assert recipient.now == 1_800_000_010.0


@pytest.mark.parametrize(
    ("options", "every_s", "polls"),
    [({}, 30, 2), ({}, 60, 1), ({}, 61, 0), ({"deadline_s": 90.0}, 30, 3)],
)
@pytest.mark.spec("#revocation-response")
def test_a_recipient_that_never_ends_is_given_up_at_the_deadline(
    options: dict[str, Any], every_s: int, polls: int
) -> None:
    waiting = answer(202, {"status": "pending"}, location="/aauth/pending/1", **{"retry-after": str(every_s)})
    recipient = Recipient(*[waiting] * 10)

    assert recipient.run(**options) == Revoked(UNAVAILABLE)
    assert len(recipient.sends) == 1 + polls
