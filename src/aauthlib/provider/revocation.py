"""Telling person servers that agent tokens were revoked (#token-revocation, the agent provider's side).

A flow: it finds the person server's `revocation_endpoint`, POSTs `{jti, exp}` signed as a server under `jwks_uri`, and
follows a `202` to its end. It reports an outcome and raises nothing that the other side could cause.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from ..deferred.polling import PollPolicy, follow
from ..effects import Clock, FindMetadata, Flow, Send
from ..errors import AAuthError, UnsupportedIss
from ..http import Fields, Request, Response
from ..httpsig import JWKSURI, sign
from ..keys import SigningKey
from ..messages.bodies import RevocationRequest, encode
from ..messages.metadata import PersonServerMetadata, read_metadata
from ..messages.problems import error_of
from ..store.provider_records import IssuedToken
from ..tokens import AGENT_DWK, PERSON_DWK

__all__ = ["Outcome", "RevokedToken", "revoke_at_person_server"]

_TIMEOUT_S = 30.0
#: Seconds a person server may take for its cascade before it counts as unavailable.
_DEADLINE_S = 120.0


class Outcome(StrEnum):
    """How telling a person server ended (#revocation-response)."""

    REVOKED = "revoked"
    """Recorded there, and its cascade is finished."""
    NO_PERSON_SERVER = "no_person_server"
    """The token names none, so there is nobody to tell."""
    UNSUPPORTED = "revocation_unsupported"
    """It has no `revocation_endpoint`, or does not take revocations from us: the token lives until its `exp`."""
    UNAVAILABLE = "revocation_unavailable"
    """It did not answer, or not intelligibly; worth repeating."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedToken:
    """One token of a revoked enrolment and what came of telling its person server."""

    agent: str
    ps: str | None
    exp: float
    outcome: Outcome
    detail: str = ""


def revoke_at_person_server(
    token: IssuedToken, ps: str, *, issuer: str, key: SigningKey, clock: Clock, dev: bool
) -> Flow[tuple[Outcome, str]]:
    """Tell `ps` that `issuer` revoked `token`. Returns the outcome and a sentence for people."""
    try:
        document = yield FindMetadata(ps, PERSON_DWK)
        endpoint = read_metadata(PersonServerMetadata, document, issuer=ps, dev=dev).revocation_endpoint
        if endpoint is None:
            return Outcome.UNSUPPORTED, "The person server has no revocation endpoint."
        signed = _signer(issuer, key, clock)
        body = encode(RevocationRequest(jti=token.jti, exp=int(token.exp)))
        headers = Fields({"content-type": "application/json", "prefer": f"wait={int(_TIMEOUT_S) - 5}"})
        response: Response = yield Send(signed(Request("POST", endpoint, headers, body)), timeout_s=_TIMEOUT_S)
        if response.status == 202:
            response = yield from follow(
                response, url=endpoint, sign=signed, clock=clock, policy=PollPolicy(deadline_s=_DEADLINE_S)
            )
        return _outcome(response)
    except AAuthError as error:
        return Outcome.UNAVAILABLE, error.detail


def _signer(issuer: str, key: SigningKey, clock: Clock) -> Callable[[Request], Request]:
    scheme = JWKSURI(issuer, AGENT_DWK, key.kid)
    return lambda request: sign(request, key, scheme, created=int(clock()))


def _outcome(response: Response) -> tuple[Outcome, str]:
    if response.status == 200:
        return (Outcome.REVOKED, "") if _readable(response.body) else (Outcome.UNAVAILABLE, "The answer is not JSON.")
    error = error_of(response)
    kind = Outcome.UNSUPPORTED if isinstance(error, UnsupportedIss) else Outcome.UNAVAILABLE
    return kind, error.detail or f"The person server answered {response.status}."


def _readable(body: bytes) -> bool:
    """A `200` without a body says that all is done; one with a body has to be a JSON object (#revocation-response)."""
    try:
        return not body or isinstance(msgspec.json.decode(body), dict)
    except (msgspec.DecodeError, RecursionError):
        return False
