"""Asking an access server for an auth token, as flows (#ps-to-as-token-request, #as-response, #auth-token-delivery).

An `Exchange` starts the request, polls it, answers questions, and verifies what is delivered. Each step ends in
`Delivered` or `Waiting`; whatever else the access server says is raised. It knows no store and decides nothing about
the person: the claims it may give were released before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ...discovery import TransportError
from ...effects import Clock, FindMetadata, Flow, Send, Sleep
from ...errors import AAuthError, Denied, InvalidSignature
from ...http import Fields, Request, Response
from ...messages.metadata import AccessServerMetadata, read_metadata
from ...messages.requirement import CLAIMS
from ...tokens import AuthToken, VerificationPolicy
from .answers import Delivered, Expected, PaymentRequired, Question, Settlement, Unpaid, Waiting
from .delivery import verify_delivery
from .reading import AnswerReader, refused, relayed, unusable

__all__ = ["Exchange"]

_REQUEST_S = 10.0
_MAX_BODY_BYTES = 262_144
#: Requests within one step: claims given, a payment settled, and what each of them led to.
_MAX_REQUESTS = 8
_SLOW_DOWN_S = 5.0


class Exchange:
    """One token request at one access server.

    `sign` signs as the person server (scheme `jwks_uri`, body covered). `claims` are what the person released, never
    `sub`; `settlement` pays, and without one a payment that is required ends the request.
    """

    def __init__(
        self,
        expected: Expected,
        *,
        sign: Callable[[Request], Request],
        clock: Clock,
        policy: VerificationPolicy,
        claims: Mapping[str, Any],
        settlement: Settlement | None = None,
    ) -> None:
        self._expected = expected
        self._sign, self._clock, self._policy = sign, clock, policy
        self._claims = {name: value for name, value in claims.items() if name != "sub"}
        self._settlement = settlement
        self._reader = AnswerReader(expected.access_server, clock=clock, dev=policy.dev)

    # ------------------------------------------------------------------ steps

    def start(self, tokens: Mapping[str, str], *, wait_s: int = 0) -> Flow[Delivered | Waiting | Unpaid]:
        """Send the token request. `tokens` are its members; `wait_s` goes into `Prefer`.

        Raises `AsUnreachable`, or the access server's own error.
        """
        server = self._expected.access_server
        try:
            document = yield FindMetadata(server, AccessServerMetadata.dwk)
            metadata = read_metadata(AccessServerMetadata, document, issuer=server, dev=self._policy.dev)
            url = metadata.auth_token_endpoint
            response: Response = yield self._post(url, tokens, wait_s=wait_s)
            if isinstance(refused(response), InvalidSignature):
                # The very same may have been sent within this second, by another process or by this one before a
                # restart, and is a replay then. A second later it is another request.
                yield Sleep(1.0)
                response = yield self._post(url, tokens, wait_s=wait_s)
        except AAuthError as error:
            raise self._reader.unreachable("could not be reached") from error
        if response.status in (429, 503):
            return Waiting(pause_s=self._reader.pause(response))
        if response.status == 402 and self._settlement is not None:
            return Unpaid(self._reader.location(response, url, None), self._required(response))
        return (yield from self._follow(response, url, None))

    def pay(self, unpaid: Unpaid) -> Flow[Delivered | Waiting]:
        """Settle what the first answer requires, and go on. Raises as `start` does, or `Denied`."""
        yield from self._settle(unpaid.required)
        return (yield from self.poll(unpaid.location))

    def poll(self, location: str, *, wait_s: int = 0) -> Flow[Delivered | Waiting]:
        """Ask how it stands. A poll without an answer is `Waiting` with `failed` set. Raises as `start` does."""
        try:
            response: Response = yield self._get(location, wait_s)
        except TransportError:
            return Waiting(location=location, pause_s=_SLOW_DOWN_S, failed=True)
        return (yield from self._follow(response, location, location))

    def reply(
        self, location: str, question: Question, tokens: Mapping[str, str] | None = None, *, again: bool = False
    ) -> Flow[Delivered | Waiting]:
        """Send the answer to a clarification question (#agent-response-to-clarification), or the update in `tokens`.

        With `again` it may have been sent before: it is only if the same is still asked. Raises as `start` does.
        """
        if again:
            outcome = yield from self.poll(location)
            if isinstance(outcome, Delivered) or outcome.question is None or outcome.question.text != question.text:
                return outcome
        document = {"action": "clarification_response", "clarification_response": question.answer or ""}
        if question.updates:
            document = {"action": "updated_request", **(tokens or {})}
            if question.answer:
                document["justification"] = question.answer
        try:
            response: Response = yield self._post(location, document)
        except TransportError as error:
            raise self._reader.unreachable("could not be reached") from error
        return (yield from self._follow(response, location, location))

    def withdraw(self, location: str) -> Flow[None]:
        """Cancel the request at the access server (#cancel-request)."""
        yield Send(self._sign(Request("DELETE", location)), timeout_s=5.0)

    # ------------------------------------------------------------------ answers

    def _follow(self, response: Response, url: str, location: str | None) -> Flow[Delivered | Waiting]:
        """Do what the answer asks until there is a token, or something only somebody else can do."""
        for _ in range(_MAX_REQUESTS):
            status = response.status
            if status == 200:
                text = self._reader.members(response).get("auth_token")
                token: AuthToken = yield from verify_delivery(
                    text, self._expected, self._reader, clock=self._clock, policy=self._policy
                )
                return Delivered(token)
            if status in (202, 402):
                location = self._reader.location(response, url, location)
            if status == 202:
                requirement = self._reader.requirement(response)
                if requirement is None or requirement.value != CLAIMS:
                    return self._reader.waiting(response, requirement, location or url)
                step = self._post(location or url, self._answer(response))
            elif status == 402:
                yield from self._settle(self._required(response))
                step = self._get(location or url, 0)
            elif status == 204 and location is not None:
                step = self._get(location, 0)  # An answer was taken without a word.
            elif status in (429, 503) and location is not None:
                return Waiting(location=location, pause_s=self._reader.pause(response))
            else:
                raise relayed(response) or self._reader.unreachable(unusable(response))
            try:
                response = yield step
            except TransportError as error:
                raise self._reader.unreachable("stopped answering") from error
        raise self._reader.unreachable("kept asking for the same")

    def _answer(self, response: Response) -> dict[str, Any]:
        """The claims it requires, as far as the person released them; what is missing it has to do without."""
        return {name: self._claims[name] for name in self._reader.required_claims(response) if name in self._claims}

    def _required(self, response: Response) -> PaymentRequired:
        return PaymentRequired(self._expected.access_server, response.headers, response.body)

    def _settle(self, required: PaymentRequired) -> Flow[None]:
        if self._settlement is None:
            raise Denied("The access server requires a payment, and this person server is not set up to pay.")
        try:
            settled = yield from self._settlement.settle(required)
        except AAuthError as error:
            raise Denied("The access server requires a payment, and paying it failed.") from error
        if not settled:
            raise Denied("The access server requires a payment, which was not made.")

    # ------------------------------------------------------------------ small things

    def _post(self, url: str, document: Mapping[str, Any], *, wait_s: int = 0) -> Send:
        headers = {"content-type": "application/json", "accept": "application/json"}
        if wait_s:
            headers["prefer"] = f"wait={wait_s}"
        request = Request("POST", url, Fields(headers), msgspec.json.encode(dict(document)))
        return Send(self._sign(request), timeout_s=_REQUEST_S + wait_s, max_body_bytes=_MAX_BODY_BYTES)

    def _get(self, url: str, wait_s: int) -> Send:
        headers = {"accept": "application/json", **({"prefer": f"wait={wait_s}"} if wait_s else {})}
        request = Request("GET", url, Fields(headers))
        return Send(self._sign(request), timeout_s=_REQUEST_S + wait_s, max_body_bytes=_MAX_BODY_BYTES)
