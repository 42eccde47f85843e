"""Covered bodies too large to be read before the decision: verified as the application reads them."""

from __future__ import annotations

from typing import Any

import pytest

from aauthlib.errors import InvalidSignature
from aauthlib.http import Request, Response
from aauthlib.httpsig import content_digest
from aauthlib.web.asgi import ClientGone
from aauthlib.web.resource import AAuthMiddleware
from aauthlib.web.streaming import VerifiedBody, read_start
from tests.resource.world import World, default_policy

LARGE = bytes(range(256)) * 40
LIMIT = 4_000

pytestmark = pytest.mark.spec("#covered-components", "rfc9530#2")


class Uploads:
    """An application that keeps the parts of a body as they come, and what it was told at the end."""

    def __init__(self, *, early: bool = False, careless: bool = False) -> None:
        self.parts: list[bytes] = []
        self.complete = False
        self._early = early
        self._careless = careless

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._early:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while not self.complete:
                message = await receive()
                self.parts.append(message["body"])
                self.complete = not message["more_body"]
        except InvalidSignature:
            if not self._careless:
                raise
        if not self._early:
            await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": b"kept"})


async def upload(app: Uploads, body: bytes, *, arriving: bytes | None = None, **settings: Any) -> Response:
    """Sign a request with `body`; what arrives is `arriving`, in parts of a thousand bytes."""
    world = World(**settings)
    world.asgi = AAuthMiddleware(app, world.resource, default_policy(), max_body_bytes=LIMIT, stream_bodies=True)
    request = world.signed("POST", "/events", world.auth_token("calendar.write"), body=body)
    return await world.call(
        Request(request.method, request.url, request.headers, body if arriving is None else arriving)
    )


async def test_a_large_covered_body_reaches_the_application_in_parts() -> None:
    app = Uploads()
    response = await upload(app, LARGE)
    assert (response.status, response.body) == (201, b"kept")
    assert app.complete and b"".join(app.parts) == LARGE
    assert len(app.parts[0]) <= LIMIT + 1000 and len(app.parts) > 2


@pytest.mark.parametrize("careless", [False, True])
@pytest.mark.parametrize("arriving", [LARGE[:-1] + b"x", b"x" + LARGE[1:], LARGE + b"x", LARGE[:-1]])
async def test_the_end_of_a_changed_body_is_never_given_and_the_answer_is_401(arriving: bytes, careless: bool) -> None:
    app = Uploads(careless=careless)
    response = await upload(app, LARGE, arriving=arriving)
    assert (response.status, "signature-error" in response.headers) == (401, True)
    assert "invalid_signature" in (response.headers.get("signature-error") or "")
    assert not app.complete and b"".join(app.parts) != arriving


async def test_a_response_that_began_before_the_body_ended_stays_incomplete() -> None:
    app = Uploads(early=True)
    with pytest.raises(InvalidSignature):
        await upload(app, LARGE, arriving=LARGE[:-1] + b"x")
    careless = Uploads(early=True, careless=True)
    response = await upload(careless, LARGE, arriving=LARGE[:-1] + b"x")
    assert (response.status, response.body, careless.complete) == (200, b"", False)


async def test_a_small_body_is_verified_before_the_application_is_called() -> None:
    app = Uploads()
    assert (await upload(app, b"x" * LIMIT)).status == 201
    refused = Uploads()
    assert (await upload(refused, b"x" * LIMIT, arriving=b"y" * LIMIT)).status == 401
    assert refused.parts == []


async def test_a_large_body_must_be_covered_where_the_resource_asks_for_it() -> None:
    app = Uploads()
    settings: dict[str, Any] = {"additional_signature_components": ("content-digest",)}
    assert (await upload(app, LARGE, **settings)).status == 201
    world = World(**settings)
    world.asgi = AAuthMiddleware(app, world.resource, default_policy(), max_body_bytes=LIMIT, stream_bodies=True)
    response = await world.post("/events", world.auth_token("calendar.write"), body=LARGE, cover_body=False)
    assert response.status == 401
    assert "invalid_input" in (response.headers.get("signature-error") or "")


async def test_a_body_that_is_held_is_bounded_still() -> None:
    world = World()
    world.asgi = AAuthMiddleware(Uploads(), world.resource, default_policy(), max_body_bytes=LIMIT, stream_bodies=True)
    assert (await world.post("/held", world.person_token(), body=LARGE)).status == 413


# --------------------------------------------------------------------------- the parts


def receiving(*messages: dict[str, Any]) -> Any:
    waiting = list(messages)

    async def receive() -> Any:
        return waiting.pop(0)

    return receive


PART = {"type": "http.request", "body": b"1234", "more_body": True}
LAST = {"type": "http.request", "body": b"56", "more_body": False}
GONE = {"type": "http.disconnect"}


async def test_reading_stops_as_soon_as_the_limit_is_passed() -> None:
    assert await read_start(receiving(PART, PART, LAST), max_bytes=7) == (b"12341234", False)
    assert await read_start(receiving(PART, LAST), max_bytes=4) == (b"123456", True)
    assert await read_start(receiving(PART, LAST), max_bytes=9) == (b"123456", True)
    with pytest.raises(ClientGone):
        await read_start(receiving(PART, GONE), max_bytes=9)


async def test_a_client_that_goes_away_is_told_as_it_is_and_refused_by_nobody() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while not seen or seen[-1]["type"] != "http.disconnect":
            seen.append(await receive())

    async def send(message: Any) -> None:
        raise AssertionError("nothing is sent")

    body = VerifiedBody(b"12", receiving(PART, GONE), content_digest(b"1212345"))
    assert await body.serve(app, {}, send) is None
    assert [message.get("body") for message in seen] == [b"12", b"1234", None]


async def test_an_application_that_fails_of_its_own_accord_fails() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise LookupError("mine")

    async def send(message: Any) -> None:
        raise AssertionError("nothing is sent")

    with pytest.raises(LookupError):
        await VerifiedBody(b"12", receiving(LAST), content_digest(b"1256")).serve(app, {}, send)


async def test_the_end_is_refused_however_often_it_is_asked_for() -> None:
    refusals: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for _ in range(3):
            try:
                await receive()
            except InvalidSignature as error:
                refusals.append(str(error))

    async def send(message: Any) -> None:
        raise AssertionError("nothing is sent")

    failure = await VerifiedBody(b"12", receiving(LAST), content_digest(b"other")).serve(app, {}, send)
    assert isinstance(failure, InvalidSignature)
    assert len(refusals) == 3


def test_a_digest_that_cannot_be_verified_is_refused_at_once() -> None:
    for value in ("", "md5=:AA==:", "sha-256="):
        with pytest.raises(InvalidSignature):
            VerifiedBody(b"", receiving(), value)
