"""What an agent does about a refused signature (#authentication-errors; HTTP Signature Keys, Section 5).

One `Recovery` lives as long as an exchange and takes each remedy at most once: cover what is missing, drop the token
that expired or was revoked, correct the clock, use a scheme or an algorithm that is accepted, send a token in full.
What is learned is remembered for the server. Refreshing tokens is the business of `chain`.
"""

from __future__ import annotations

import re
from collections.abc import Container
from datetime import UTC
from email.utils import parsedate_to_datetime

from ..errors import (
    CacheMiss,
    ClockSkew,
    ExpiredJWT,
    InvalidInput,
    InvalidSignature,
    RevokedJWT,
    SignatureError,
    UnknownKey,
    UnsupportedAlgorithm,
    UnsupportedScheme,
)
from ..http import Response
from ..httpsig import BASE_COMPONENTS, DEFAULT_WINDOW_S
from ..messages.headers import accepted_tokens, parse_signature_error
from ..tokens import AgentToken, AuthToken, PersonToken
from ..verification import Level
from .context import AgentContext
from .credentials import AnyToken, ServerMemory
from .errors import RequestRefused
from .negotiation import usable_algorithms
from .sending import Attempt, resource_of, unmet_components

__all__ = ["Recovery"]

_MAX_COMPONENTS = 32
_COMPONENT = re.compile(r"@?[a-z0-9!#$%&'*+.^_`|~-]{1,128}\Z")
#: A clock that is wrong by more than a day is not corrected from one server's word.
_MAX_OFFSET_S = 86_400.0
#: Clocks that are no further apart agree: `Date` and `iat` are whole seconds.
_CLOCKS_AGREE_S = 2.0


class Recovery:
    """Remedies for the signature errors of one server within one exchange.

    `trusted` servers, which are this agent's own person server and provider, may also tell it what time it is; any
    other one only what time it is there. `fresh` holds the `jti` of what was obtained within this exchange.
    """

    def __init__(
        self, agent: AgentContext, memory: ServerMemory, *, trusted: bool = False, fresh: Container[str] = ()
    ) -> None:
        self._agent, self._memory, self._trusted, self._fresh = agent, memory, trusted, fresh
        self._tried: set[str] = set()

    def attend(self, response: Response, attempt: Attempt) -> str | None:
        """Do what can be done about the `Signature-Error` of `response`.

        Returns what was done, in words, when a retry makes sense, and `None` when the response carries no signature
        error. Raises `RequestRefused` when nothing can be done, or was done already.
        """
        error = parse_signature_error(response.headers) if response.status == 401 else None
        if error is None:
            return None
        by_token = isinstance(error, ExpiredJWT | RevokedJWT | UnknownKey)
        match error:
            case InvalidInput():
                done = self._cover_more(error, attempt, response)
            case ExpiredJWT() | RevokedJWT() | UnknownKey():
                done = self._drop_token(error, attempt)
            case ClockSkew() | InvalidSignature():
                done = self._correct_clock(error, response)
                if done is None and isinstance(error, ClockSkew):
                    done, by_token = self._drop_token_from_the_future(response, attempt), True
            case UnsupportedScheme():
                done = self._change_scheme(response, attempt)
            case UnsupportedAlgorithm():
                done = self._change_key(response, attempt)
            case CacheMiss():
                done = self._present_in_full(attempt)
            case _:
                done = None
        remedy = f"{error.code}:{attempt.credential.level}" if by_token else error.code
        if done is None or remedy in self._tried:
            raise _refusal(error, response, attempt, now=self._agent.clock())
        self._tried.add(remedy)
        return done

    def _cover_more(self, error: InvalidInput, attempt: Attempt, response: Response) -> str | None:
        wanted = [name.lower() for name in error.required_input]
        new = [name for name in wanted if name not in {*BASE_COMPONENTS, *self._memory.components}]
        if not new or len(wanted) > _MAX_COMPONENTS or not all(_COMPONENT.match(name) for name in new):
            return None
        unmet = unmet_components(attempt.request, [name for name in new if name != "authorization"])
        if "authorization" in new and attempt.session_token is None and "authorization" not in attempt.request.headers:
            unmet.append("authorization")
        if unmet:
            raise RequestRefused(
                f"{resource_of(attempt.request)} requires the signature to cover {', '.join(unmet)}, which this "
                "request does not carry. Add the header field to the request and send it again.",
                error,
                response=response,
            )
        # `authorization` is covered whenever it is sent; on a request without one there is nothing to cover.
        kept = [name for name in new if name != "authorization"]
        self._memory.components = (*self._memory.components, *kept)[:_MAX_COMPONENTS]
        return f"the signature will cover {', '.join(new)} too"

    def _drop_token(self, error: SignatureError, attempt: Attempt) -> str | None:
        revoked = isinstance(error, RevokedJWT)
        if not self._forget(attempt.credential.token, revoked=revoked):
            return None
        # Of a key that its issuer took out of its set nothing is left, and a fresh token has another key.
        why = "revoked" if revoked else "unverifiable" if isinstance(error, UnknownKey) else "expired"
        return f"the {why} token is dropped and a fresh one is obtained"

    def _drop_token_from_the_future(self, response: Response, attempt: Attempt) -> str | None:
        """Forget a token whose issuer's clock was ahead, since the next one may be dated right.

        Our own clock and the server's have to agree about that: where the server's is behind ours, no token helps.
        """
        token, now = attempt.credential.token, self._agent.clock()
        if not _from_the_future(token, now) or not _from_the_future(token, now + (self._offset(response) or 0.0)):
            return None
        credentials = self._agent.credentials
        misled = isinstance(token, AgentToken) and self._agent.source.dates_tokens and credentials.clock_offset_s != 0.0
        if misled:
            # We dated it by what the person server said of our clock. It says so again if its own was not wrong.
            credentials.clock_offset_s = 0.0
        if not self._forget(token) or token is None or (token.jti in self._fresh and not misled):
            return None  # Its issuer's clock is still ahead, a moment later too.
        return "the token, which was issued by a clock that was ahead, is dropped and a fresh one is obtained"

    def _forget(self, token: AnyToken | None, *, revoked: bool = False) -> bool:
        """Hold `token` no longer, so that the next request obtains another; whether there was something to forget."""
        match token:
            case AuthToken():
                self._memory.auth_token = None
                if revoked:
                    self._memory.person_tokens.clear()
            case PersonToken():
                self._memory.person_tokens.clear()
            case AgentToken():
                self._agent.credentials.own = None
                if revoked:
                    self._agent.credentials.forget_tokens()
            case _:
                return False
        return True

    def _correct_clock(self, error: SignatureError, response: Response) -> str | None:
        offset = self._offset(response)
        if offset is None or abs(offset) > _MAX_OFFSET_S:
            return None
        # A stale or premature signature looks like any other bad one unless the two clocks really differ.
        if abs(offset - self._memory.clock_offset_s) < (1 if isinstance(error, ClockSkew) else DEFAULT_WINDOW_S / 2):
            return None
        self._memory.clock_offset_s = offset
        if self._trusted:
            self._agent.credentials.clock_offset_s = offset
            if self._agent.source.dates_tokens:
                self._agent.credentials.own = None
        return (
            f"this machine's clock is {abs(round(offset))} s {'behind' if offset > 0 else 'ahead'}; times are corrected"
        )

    def _offset(self, response: Response) -> float | None:
        value = response.headers.get("date")
        if value is None:
            return None
        try:
            date = parsedate_to_datetime(value)
        except (TypeError, ValueError):
            return None
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - self._agent.clock()

    def _change_scheme(self, response: Response, attempt: Attempt) -> str | None:
        if attempt.cid is not None:
            # It does not hold tokens any more, if it ever did (HTTP Signature Keys, Section 6.2).
            self._memory.caches = False
            return self._present_in_full(attempt)
        schemes = accepted_tokens(response.headers, "accept-signature-scheme") or ()
        sent = "hwk" if attempt.credential.level is Level.PSEUDONYM else "jwt"
        if sent == "hwk" and "jwt" in schemes:
            self._memory.level = Level.IDENTIFIED
            return "the agent token is presented instead of a bare key"
        if sent == "jwt" and "hwk" in schemes and "jwt" not in schemes:
            self._memory.level = Level.PSEUDONYM
            self._memory.forget_tokens()
            return "a bare key is presented instead of a token"
        return None

    def _change_key(self, response: Response, attempt: Attempt) -> str | None:
        """A pseudonym gets a key of an accepted algorithm; the key a token is bound to cannot be changed here."""
        usable = usable_algorithms(response)
        key = attempt.credential.key
        if not usable or key is None or attempt.credential.level is not Level.PSEUDONYM or key.alg in usable:
            return None
        self._memory.algorithms = usable
        return f"the request is signed with a key of the algorithm {usable[0]}"

    def _present_in_full(self, attempt: Attempt) -> str | None:
        """The token itself instead of the identifier that stood for it."""
        if attempt.cid is None:
            return None
        self._memory.forget_cid(attempt.cid)
        return "the token is presented in full again"


def _from_the_future(token: AnyToken | None, now: float) -> bool:
    return token is not None and token.iat > now + _CLOCKS_AGREE_S


def _refusal(error: SignatureError, response: Response, attempt: Attempt, *, now: float) -> RequestRefused:
    server, token = resource_of(attempt.request), attempt.credential.token
    said = f"{server} refuses the signature of this request ({error.code}: {error.title.lower()})"
    advice = {
        "invalid_input": "It names no component that could be added. Ask its operator what it wants covered.",
        "expired_jwt": "A fresh token was presented and it says the same; its clock may be wrong.",
        "revoked_jwt": "A fresh token was presented and it says the same; access was withdrawn.",
        "clock_skew": "Set this machine's clock, for instance with NTP, and try again.",
        "unsupported_scheme": "This agent signs with the schemes jwt and hwk, and it accepts neither.",
        "cache_miss": "The token was presented in full and it says the same.",
        "unsupported_algorithm": "Make an identity with an algorithm it accepts (Accept-Signature-Alg).",
        "unknown_key": (
            "It cannot find the key of the token's issuer, nor that of a fresh token. Check that the issuer's "
            "metadata and JWKS are published and hold the key."
        ),
        "issuer_missing": "The metadata of the token's issuer names no issuer.",
        "issuer_mismatch": "The metadata of the token's issuer names another issuer.",
        "invalid_jwt": "It does not accept the token presented.",
    }.get(error.code, "Check that nothing between this agent and the server changes the request.")
    if error.code == "clock_skew" and token is not None and _from_the_future(token, now):
        ahead_s = round(token.iat - now)
        advice = (
            f"{token.iss} issued the token {ahead_s} s ahead of this machine's clock; one of the two clocks is wrong."
        )
    return RequestRefused(f"{said}. {advice}", error, response=response)
