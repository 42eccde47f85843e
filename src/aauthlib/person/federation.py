"""Asking an access server for an auth token, as flows (#ps-to-as-token-request, #as-response, #auth-token-delivery).

An `Exchange` starts the request, polls it, answers questions, and verifies what is delivered. Each step ends in
`Delivered` or `Waiting`; whatever else the access server says is raised. It knows no store and decides nothing about
the person: the claims it may give were released before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urljoin

import msgspec

from ..discovery import TransportError
from ..effects import Clock, FindMetadata, Flow, Send, Sleep
from ..errors import (
    AAuthError,
    AsUnreachable,
    Denied,
    InvalidIdentifier,
    InvalidSignature,
    ProblemError,
    SignatureError,
)
from ..http import Fields, Request, Response
from ..identifiers import https_url, origin_of
from ..keys import PublicKey
from ..messages.headers import parse_retry_after, parse_signature_error
from ..messages.metadata import AccessServerMetadata, read_metadata
from ..messages.requirement import APPROVAL, CLAIMS, CLARIFICATION, INTERACTION, Requirement
from ..tokens import ACCESS_DWK, AuthToken, VerificationPolicy, verify
from ..tokens.profile import read

__all__ = [
    "Delivered",
    "Ended",
    "Exchange",
    "Expected",
    "PaymentRequired",
    "Question",
    "Settlement",
    "Waiting",
    "relayed",
]

_REQUEST_S = 10.0
_MAX_BODY_BYTES = 262_144
#: Requests within one step: claims given, a payment settled, and what each of them led to.
_MAX_REQUESTS = 8
_MAX_TEXT_LENGTH = 4000
_MAX_DETAIL_LENGTH = 500
_MAX_OPTIONS = 20
_SLOW_DOWN_S = 5.0
_LEAST_PAUSE_S = 1.0
_MOST_PAUSE_S = 120.0
_ERROR_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
#: Statuses of terminal errors (#token-endpoint-error-codes, #polling-error-codes); any other is no answer at all.
_TERMINAL = frozenset({400, 403, 408, 410, 500})


class Question(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A clarification question (#requirement-clarification), in the access server's words."""

    text: str
    options: tuple[str, ...] = ()
    timeout_s: float | None = None


class Ended(msgspec.Struct, frozen=True):
    """A terminal error, kept until the agent fetches it: it may ask another process, or this one after a restart."""

    code: str
    status: int
    detail: str

    @classmethod
    def of(cls, error: ProblemError) -> Ended:
        return cls(error.code, error.status, error.detail)

    def error(self) -> ProblemError:
        """The error anew."""
        kind = type("RelayedError", (ProblemError,), {"code": self.code, "status": self.status})
        made: ProblemError = kind(self.detail)
        return made


class Waiting(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The access server has not decided."""

    location: str | None = None
    """The pending URL; `None` when the request was not taken yet and is to be sent again."""
    pause_s: float = 0.0
    """Not to be asked again before, in seconds."""
    interaction_url: str | None = None
    interaction_code: str | None = None
    question: Question | None = None
    approval: bool = False
    failed: bool = False
    """The poll brought no answer."""
    ended: Ended | None = None
    """It has decided, or cannot be asked any more, and this is how."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A verified auth token (#auth-token-delivery)."""

    token: AuthToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the auth token must say, all of it verified before the request was made."""

    person_server: str
    access_server: str
    aud: str
    sub: str
    cnf: PublicKey
    scope: frozenset[str]
    account: str | None
    mission_s256: str | None
    not_after: float
    """The earliest `exp` of the tokens it hangs on, Unix seconds."""


@dataclass(frozen=True, slots=True)
class PaymentRequired:
    """What an access server wants paid, as it says it (#as-response)."""

    access_server: str
    headers: Fields
    body: bytes = field(repr=False)


class Settlement(Protocol):
    """Settles payments that access servers require; how is out of the protocol's scope."""

    def settle(self, required: PaymentRequired) -> Flow[bool]:
        """Settle it. Returns whether it is settled; `False` ends the request as denied."""
        ...


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

    # ------------------------------------------------------------------ steps

    def start(self, tokens: Mapping[str, str], *, wait_s: int = 0) -> Flow[Delivered | Waiting]:
        """Send the token request. `tokens` are its members; `wait_s` goes into `Prefer`.

        Raises `AsUnreachable`, or the access server's own error.
        """
        server = self._expected.access_server
        try:
            document = yield FindMetadata(server, AccessServerMetadata.dwk)
            metadata = read_metadata(AccessServerMetadata, document, issuer=server, dev=self._policy.dev)
            url = metadata.auth_token_endpoint
            response: Response = yield self._post(url, tokens, wait_s=wait_s)
            if isinstance(_refused(response), InvalidSignature):
                # The very same may have been sent within this second, by another process or by this one before a
                # restart, and is a replay then. A second later it is another request.
                yield Sleep(1.0)
                response = yield self._post(url, tokens, wait_s=wait_s)
        except AAuthError as error:
            raise self._unreachable("could not be reached") from error
        if response.status in (429, 503):
            return Waiting(pause_s=self._pause(response))
        return (yield from self._follow(response, url, None))

    def poll(self, location: str, *, wait_s: int = 0) -> Flow[Delivered | Waiting]:
        """Ask how it stands. A poll without an answer is `Waiting` with `failed` set. Raises as `start` does."""
        try:
            response: Response = yield self._get(location, wait_s)
        except TransportError:
            return Waiting(location=location, pause_s=_SLOW_DOWN_S, failed=True)
        return (yield from self._follow(response, location, location))

    def reply(self, location: str, answer: str) -> Flow[Delivered | Waiting]:
        """Answer a clarification question (#agent-response-to-clarification). Raises as `start` does."""
        document = {"action": "clarification_response", "clarification_response": answer}
        try:
            response: Response = yield self._post(location, document)
        except TransportError as error:
            raise self._unreachable("could not be reached") from error
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
                return Delivered((yield from self._verified(response)))
            if status in (202, 402):
                location = self._location(response, url, location)
            if status == 202:
                requirement = self._requirement(response)
                if requirement is None or requirement.value != CLAIMS:
                    return self._waiting(response, requirement, location or url)
                step = self._post(location or url, self._answer(response))
            elif status == 402:
                yield from self._settle(response)
                step = self._get(location or url, 0)
            elif status == 204 and location is not None:
                step = self._get(location, 0)  # An answer was taken without a word.
            elif status in (429, 503) and location is not None:
                return Waiting(location=location, pause_s=self._pause(response))
            else:
                raise relayed(response) or self._unreachable(_unusable(response))
            try:
                response = yield step
            except TransportError as error:
                raise self._unreachable("stopped answering") from error
        raise self._unreachable("kept asking for the same")

    def _waiting(self, response: Response, requirement: Requirement | None, location: str) -> Waiting:
        pause_s = self._pause(response)
        match requirement.value if requirement is not None else None:
            case None:
                return Waiting(location=location, pause_s=pause_s)
            case str(value) if value == APPROVAL:
                return Waiting(location=location, pause_s=pause_s, approval=True)
            case str(value) if value == INTERACTION:
                url, code = (requirement.url, requirement.code) if requirement is not None else (None, None)
                try:
                    url = https_url(url or "", dev=self._policy.dev)
                except InvalidIdentifier as error:
                    raise self._unreachable("wants the person on a page it does not name") from error
                if not code or len(code) > 256:
                    raise self._unreachable("wants the person on a page without a code")
                return Waiting(location=location, pause_s=pause_s, interaction_url=url, interaction_code=code)
            case str(value) if value == CLARIFICATION:
                return Waiting(location=location, pause_s=pause_s, question=self._question(response))
            case _:
                raise self._unreachable("requires something this person server does not know")

    def _question(self, response: Response) -> Question:
        body = _object(response)
        text, options, timeout_s = body.get("clarification"), body.get("options"), body.get("timeout")
        if not isinstance(text, str) or not 0 < len(text) <= _MAX_TEXT_LENGTH:
            raise self._unreachable("asks a question without saying which")
        return Question(
            text=text,
            options=tuple(
                option[:_MAX_TEXT_LENGTH]
                for option in (options if isinstance(options, list) else [])[:_MAX_OPTIONS]
                if isinstance(option, str)
            ),
            timeout_s=float(timeout_s)
            if isinstance(timeout_s, int | float) and not isinstance(timeout_s, bool) and 0 < timeout_s < 1e6
            else None,
        )

    def _answer(self, response: Response) -> dict[str, Any]:
        """The claims it requires, as far as the person released them; what is missing it has to do without."""
        required = _object(response).get("required_claims")
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            raise self._unreachable("requires claims without saying which")
        return {name: self._claims[name] for name in required if name in self._claims}

    def _settle(self, response: Response) -> Flow[None]:
        if self._settlement is None:
            raise Denied("The access server requires a payment, and this person server is not set up to pay.")
        required = PaymentRequired(self._expected.access_server, response.headers, response.body)
        try:
            settled = yield from self._settlement.settle(required)
        except AAuthError as error:
            raise Denied("The access server requires a payment, and paying it failed.") from error
        if not settled:
            raise Denied("The access server requires a payment, which was not made.")

    def _verified(self, response: Response) -> Flow[AuthToken]:
        """#auth-token-delivery, steps 1 to 7, and what #auth-token-structure adds."""
        text, expected = _object(response).get("auth_token"), self._expected
        if not isinstance(text, str):
            raise self._unreachable("answered without an auth token")
        try:
            # Step 2 before step 1: nobody else's keys are fetched because this server names them.
            claimed = read(text, AuthToken, now=self._clock(), policy=self._policy).token
            if claimed.iss != expected.access_server or claimed.dwk != ACCESS_DWK:
                raise self._unreachable("answered with another server's token")
            token: AuthToken = yield from verify(text, AuthToken, now=self._clock(), policy=self._policy)
        except AsUnreachable:
            raise
        except AAuthError as error:
            raise self._unreachable("answered with a token that does not verify") from error
        for wrong, what in (
            (token.aud != expected.aud, "for another resource"),
            (token.cnf.thumbprint != expected.cnf.thumbprint, "bound to another key"),
            (token.sub != expected.sub or token.ps != expected.person_server, "naming another person"),
            (not set(token.scope or ()) <= expected.scope, "with more scope than was asked and allowed"),
            (token.account != expected.account, "for another account"),
            (token.mission_s256 != expected.mission_s256, "for another mission"),
            (token.exp > expected.not_after, "that outlives a token it hangs on"),
        ):
            if wrong:
                raise self._unreachable(f"answered with a token {what}")
        return token

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

    def _location(self, response: Response, url: str, known: str | None) -> str:
        """The pending URL: on the origin that answered, and always the same (#pending-response)."""
        value = response.headers.get("location")
        if not value:
            if known is None:
                raise self._unreachable("answered without a URL to poll")
            return known
        try:
            location = urljoin(url, value)
            same_origin = origin_of(location) == origin_of(url)
        except ValueError as error:
            raise self._unreachable("answered with a URL that is none") from error
        if not same_origin or "#" in location or len(location) > _MAX_TEXT_LENGTH or known not in (None, location):
            raise self._unreachable("moved its pending URL to another place")
        return location

    def _requirement(self, response: Response) -> Requirement | None:
        header = response.headers.get("aauth-requirement")
        try:
            return Requirement.parse(header) if header is not None else None
        except AAuthError as error:
            raise self._unreachable("requires something that cannot be read") from error

    def _pause(self, response: Response) -> float:
        asked_s = parse_retry_after(response.headers, now=self._clock(), default_s=_SLOW_DOWN_S)
        least_s = {429: _SLOW_DOWN_S, 503: _SLOW_DOWN_S}.get(response.status, _LEAST_PAUSE_S)
        return min(max(asked_s, least_s), _MOST_PAUSE_S)

    def _unreachable(self, what: str) -> AsUnreachable:
        return AsUnreachable(
            f"The access server {self._expected.access_server} {what}. Ask again later with a fresh resource token."
        )


def relayed(response: Response) -> ProblemError | None:
    """A well-formed terminal error of an access server, as this server's own answer: its `error` and status.

    `None` when it is none. Its text is attributed, cut short and printable.
    """
    body = _object(response)
    code, detail = body.get("error"), body.get("detail")
    if response.status not in _TERMINAL or not isinstance(code, str) or not _ERROR_CODE.match(code):
        return None
    said = (
        "".join(c if c.isprintable() else " " for c in detail)[:_MAX_DETAIL_LENGTH] if isinstance(detail, str) else ""
    )
    return Ended(
        code, response.status, f"The access server says: {said}" if said else "The access server gives no reason."
    ).error()


def _refused(response: Response) -> SignatureError | None:
    return parse_signature_error(response.headers) if response.status == 401 else None


def _unusable(response: Response) -> str:
    """What to say of an answer that is neither a token nor a terminal error."""
    refused = _refused(response)
    if refused is not None:
        return f"refuses this person server's signature ({refused.code}); compare the two servers' clocks and keys"
    return f"answered {response.status} without a usable reason"


def _object(response: Response) -> dict[str, Any]:
    """The members of a JSON body; none when it is not an object."""
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
