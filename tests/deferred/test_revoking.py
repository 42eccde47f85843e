"""Revoking a token at another server, carried out by hand (#revocation-request, #revocation-response)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aauthlib.deferred.revoking import RECORDED, UNAVAILABLE, UNSUPPORTED, Revoked, revoke_at
from aauthlib.effects import FindMetadata, Report, Send, Sleep
from aauthlib.errors import AAuthError, UnknownKey
from aauthlib.http import Fields, Request, Response
from aauthlib.messages.metadata import AccessServerMetadata, ResourceMetadata

AT = "https://other.example"
DOCUMENT = {"issuer": AT, "jwks_uri": AT + "/jwks", "auth_token_endpoint": AT + "/t", "revocation_endpoint": AT + "/r"}


def drive(
    *answers: Response | AAuthError, document: dict[str, Any] | AAuthError = DOCUMENT
) -> tuple[Revoked, list[Request]]:
    """Carry out a revocation, with these answers; returns how it ended and what was sent."""
    flow = revoke_at(
        AT, AccessServerMetadata, jti="j", exp=99.5, sign=lambda request: request, clock=lambda: 0.0, deadline_s=30
    )
    queue, sent = list(answers), list[Request]()
    answer: Any = None
    failure: AAuthError | None = None
    try:
        while True:
            effect = flow.send(answer) if failure is None else flow.throw(failure)
            answer, failure = None, None
            if isinstance(effect, Report | Sleep):
                continue
            if isinstance(effect, Send):
                sent.append(effect.request)
            found: Any = document if isinstance(effect, FindMetadata) else queue.pop(0)
            if isinstance(found, AAuthError):
                failure = found
            else:
                answer = found
    except StopIteration as end:
        return end.value, sent


def reply(status: int, body: object = None, **headers: str) -> Response:
    content = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Response(status, Fields(headers), content)


@pytest.mark.spec("#revocation-request")
def test_the_body_is_jti_and_exp_and_nothing_else() -> None:
    outcome, (request,) = drive(reply(200))
    assert outcome == Revoked(RECORDED)
    assert (request.method, request.url) == ("POST", AT + "/r")
    assert msgspec.json.decode(request.body) == {"jti": "j", "exp": 99}
    assert request.headers.get("content-type") == "application/json"


@pytest.mark.spec("#revocation-response")
def test_what_an_access_server_reports_is_read() -> None:
    body = {
        "downstream": [{"recipient": "https://a.example"}, {"recipient": "https://b.example", "error": UNAVAILABLE}]
    }
    outcome, _ = drive(reply(200, body))
    assert outcome.downstream == (("https://a.example", None), ("https://b.example", UNAVAILABLE))


@pytest.mark.spec("#revocation-response")
@pytest.mark.parametrize("body", [b"not json", b"[]", b'{"downstream":3}', b'{"downstream":[3]}'])
def test_a_body_that_cannot_be_read_is_unavailable(body: bytes) -> None:
    assert drive(reply(200, body))[0] == Revoked(UNAVAILABLE)


@pytest.mark.spec("#revocation-response")
def test_no_endpoint_and_unsupported_iss_are_unsupported() -> None:
    assert drive(document={**DOCUMENT, "revocation_endpoint": None})[0] == Revoked(UNSUPPORTED)
    assert drive(reply(403, {"error": "unsupported_iss", "status": 403}))[0] == Revoked(UNSUPPORTED)


@pytest.mark.spec("#revocation-response")
@pytest.mark.parametrize("answer", [reply(500), reply(401), reply(404), reply(204), AAuthError("down")])
def test_every_other_end_is_unavailable(answer: Response | AAuthError) -> None:
    assert drive(answer)[0] == Revoked(UNAVAILABLE)
    assert drive(document=UnknownKey("down"))[0] == Revoked(UNAVAILABLE)


@pytest.mark.spec("#revocation-response")
def test_a_202_is_polled_to_its_end() -> None:
    outcome, sent = drive(
        reply(202, {"status": "pending"}, location=AT + "/p/1"),
        reply(202, {"status": "pending"}),
        reply(200, {"downstream": []}),
    )
    assert outcome == Revoked(RECORDED)
    assert [(request.method, request.url) for request in sent[1:]] == [("GET", AT + "/p/1")] * 2
    assert drive(reply(202, {}, location="https://evil.example/p"))[0] == Revoked(UNAVAILABLE)
    assert ResourceMetadata.dwk == "aauth-resource.json"
