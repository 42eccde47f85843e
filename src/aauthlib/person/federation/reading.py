"""Reading what an access server answers (#as-response, #pending-response); what cannot be read is `as_unreachable`."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urljoin

from ...effects import Clock
from ...errors import AAuthError, AsUnreachable, InvalidIdentifier, ProblemError, SignatureError
from ...http import Response
from ...identifiers import https_url, origin_of
from ...messages.headers import parse_retry_after, parse_signature_error
from ...messages.requirement import APPROVAL, CLARIFICATION, INTERACTION, Requirement
from .answers import Ended, Question, Waiting

__all__ = ["AnswerReader", "refused", "relayed", "unusable"]

_MAX_TEXT_LENGTH = 4000
_MAX_DETAIL_LENGTH = 500
_MAX_OPTIONS = 20
_SLOW_DOWN_S = 5.0
_LEAST_PAUSE_S = 1.0
_MOST_PAUSE_S = 120.0
_ERROR_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
#: Statuses of terminal errors (#token-endpoint-error-codes, #polling-error-codes); any other is no answer at all.
_TERMINAL = frozenset({400, 403, 408, 410, 500})


class AnswerReader:
    """Reads the answers of one access server. Every method raises `AsUnreachable` for what it cannot read."""

    def __init__(self, access_server: str, *, clock: Clock, dev: bool) -> None:
        self._access_server, self._clock, self._dev = access_server, clock, dev

    def waiting(self, response: Response, requirement: Requirement | None, location: str) -> Waiting:
        """What a `202` waits for that the person server cannot give by itself."""
        pause_s = self.pause(response)
        match requirement.value if requirement is not None else None:
            case None:
                return Waiting(location=location, pause_s=pause_s)
            case str(value) if value == APPROVAL:
                return Waiting(location=location, pause_s=pause_s, approval=True)
            case str(value) if value == INTERACTION:
                url, code = (requirement.url, requirement.code) if requirement is not None else (None, None)
                try:
                    url = https_url(url or "", dev=self._dev)
                except InvalidIdentifier as error:
                    raise self.unreachable("wants the person on a page it does not name") from error
                if not code or len(code) > 256:
                    raise self.unreachable("wants the person on a page without a code")
                return Waiting(location=location, pause_s=pause_s, interaction_url=url, interaction_code=code)
            case str(value) if value == CLARIFICATION:
                return Waiting(location=location, pause_s=pause_s, question=self._question(response))
            case _:
                raise self.unreachable("requires something this person server does not know")

    def _question(self, response: Response) -> Question:
        body = self.members(response)
        text, options, timeout_s = body.get("clarification"), body.get("options"), body.get("timeout")
        if not isinstance(text, str) or not 0 < len(text) <= _MAX_TEXT_LENGTH:
            raise self.unreachable("asks a question without saying which")
        return Question(
            text=text,
            options=tuple(
                option[:_MAX_TEXT_LENGTH]
                for option in (options if isinstance(options, list) else [])[:_MAX_OPTIONS]
                if isinstance(option, str)
            ),
            ends_at=self._clock() + float(timeout_s)
            if isinstance(timeout_s, int | float) and not isinstance(timeout_s, bool) and 0 < timeout_s < 1e6
            else None,
        )

    def required_claims(self, response: Response) -> list[str]:
        """The claims that it requires (#requirement-claims)."""
        required = self.members(response).get("required_claims")
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            raise self.unreachable("requires claims without saying which")
        return required

    def location(self, response: Response, url: str, known: str | None) -> str:
        """The pending URL: on the origin that answered, and always the same (#pending-response)."""
        value = response.headers.get("location")
        if not value:
            if known is None:
                raise self.unreachable("answered without a URL to poll")
            return known
        try:
            location = urljoin(url, value)
            same_origin = origin_of(location) == origin_of(url)
        except ValueError as error:
            raise self.unreachable("answered with a URL that is none") from error
        if not same_origin or "#" in location or len(location) > _MAX_TEXT_LENGTH or known not in (None, location):
            raise self.unreachable("moved its pending URL to another place")
        return location

    def requirement(self, response: Response) -> Requirement | None:
        """What it requires, if anything."""
        header = response.headers.get("aauth-requirement")
        try:
            return Requirement.parse(header) if header is not None else None
        except AAuthError as error:
            raise self.unreachable("requires something that cannot be read") from error

    def pause(self, response: Response) -> float:
        """How long not to ask again, in seconds."""
        asked_s = parse_retry_after(response.headers, now=self._clock(), default_s=_SLOW_DOWN_S)
        least_s = {429: _SLOW_DOWN_S, 503: _SLOW_DOWN_S}.get(response.status, _LEAST_PAUSE_S)
        return min(max(asked_s, least_s), _MOST_PAUSE_S)

    def unreachable(self, what: str) -> AsUnreachable:
        """The error for a server that did `what`."""
        return AsUnreachable(
            f"The access server {self._access_server} {what}. Ask again later with a fresh resource token."
        )

    @staticmethod
    def members(response: Response) -> dict[str, Any]:
        """The members of a JSON body; none when it is not an object."""
        try:
            body = response.json()
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}


def relayed(response: Response) -> ProblemError | None:
    """A well-formed terminal error of an access server, as this server's own answer: its `error` and status.

    `None` when it is none. Its text is attributed, cut short and printable.
    """
    body = AnswerReader.members(response)
    code, detail = body.get("error"), body.get("detail")
    if response.status not in _TERMINAL or not isinstance(code, str) or not _ERROR_CODE.match(code):
        return None
    said = (
        "".join(c if c.isprintable() else " " for c in detail)[:_MAX_DETAIL_LENGTH] if isinstance(detail, str) else ""
    )
    return Ended(
        code, response.status, f"The access server says: {said}" if said else "The access server gives no reason."
    ).error()


def refused(response: Response) -> SignatureError | None:
    """Why it refused the signature, if it did."""
    return parse_signature_error(response.headers) if response.status == 401 else None


def unusable(response: Response) -> str:
    """What to say of an answer that is neither a token nor a terminal error."""
    error = refused(response)
    if error is not None:
        return f"refuses this person server's signature ({error.code}); compare the two servers' clocks and keys"
    return f"answered {response.status} without a usable reason"
