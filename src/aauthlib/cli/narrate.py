"""Exchanges in words a newcomer understands: what was asked, what it means, what happens next.

Reads only what stands on the wire, so it tells the same story for any implementation.
"""

from __future__ import annotations

import msgspec

from ..errors import TokenInvalid
from ..fields import FieldError, Token, parse_dictionary
from ..http import Request, Response
from ..jws import parse as parse_jws
from ..messages.headers import accepted_tokens, parse_signature_error
from ..messages.problems import error_of
from ..messages.requirement import CLARIFICATION, Requirement, RequirementMalformed
from .exchanges import Exchange

__all__ = ["credential", "explain", "first_line"]

_TOKENS = {
    "aa-agent+jwt": "an agent token: which agent this is",
    "aa-person+jwt": "a person token: for whom the agent acts",
    "aa-auth+jwt": "an auth token: what was granted",
    "jkt-s256+jwt": "a delegation from its durable key",
}

_REQUIREMENTS = {
    "pseudonym": "wants to recognise the caller again: sign with any key",
    "agent-token": "wants to know which agent is calling",
    "person-token": "wants to know for whom the agent acts",
    "auth-token": "wants a grant from the person's side, and says for what in a resource token it signed",
    "interaction": "needs the person to look at a page",
    "approval": "is getting an approval; nothing to do but wait",
    "clarification": "has a question from the person to the agent",
    "claims": "needs claims about the person",
}

_SIGNATURE_ERRORS = {
    "invalid_signature": "the signature is missing, stale, or was not made by the key the token is bound to",
    "invalid_input": "the signature must cover more of the request",
    "expired_jwt": "the token has expired",
    "revoked_jwt": "the token was revoked by its issuer",
    "invalid_jwt": "the token is not valid here",
    "unknown_key": "the issuer of the token does not publish the key that signed it",
    "clock_skew": "the two clocks disagree",
    "unsupported_scheme": "this way of presenting a key is not accepted here",
    "unsupported_algorithm": "this algorithm is not accepted here",
    "invalid_key": "the key is not usable",
}


def first_line(exchange: Exchange) -> str:
    """`GET /events -> 401`, as short as it gets."""
    request, response = exchange.request, exchange.response
    answer = str(response.status) if response is not None else "no answer"
    return f"{request.method} {_short_target(request)} → {answer}"


def credential(request: Request) -> str:
    """What the request presents, in words."""
    header = request.headers.get("signature-key")
    if header is None:
        return "unsigned"
    try:
        (scheme, parameters), *_ = parse_dictionary(header).values()
    except (FieldError, ValueError):
        return "signed, with a Signature-Key that cannot be read"
    name = str(scheme) if isinstance(scheme, Token) else "?"
    if name == "hwk":
        return "signed with a bare key: a pseudonym"
    if name == "jwks_uri":
        return f"signed as the server {parameters.get('id', '?')}"
    try:
        typ = str(parse_jws(str(parameters.get("jwt", ""))).header.get("typ"))
    except TokenInvalid:
        return f"signed with {name}"
    return "signed with " + _TOKENS.get(typ, f"a token of type {typ}")


def explain(exchange: Exchange) -> list[str]:
    """What the answer says, a sentence each."""
    response = exchange.response
    who = exchange.receiver
    if response is None:
        return [exchange.failure or "There was no answer."]
    lines = _said(exchange)
    if error := parse_signature_error(response.headers):
        lines.append(f"{who} refuses: {_SIGNATURE_ERRORS.get(error.code, error.code)} ({error.code}).")
    header = response.headers.get("aauth-requirement")
    if header is not None:
        try:
            requirement = Requirement.parse(header)
        except RequirementMalformed:
            lines.append(f"{who} sent an AAuth-Requirement that cannot be read.")
        else:
            meaning = _REQUIREMENTS.get(requirement.value, "asks for something this version does not know")
            lines.append(f"{who} {meaning} (requirement={requirement.value}).")
            lines.extend(_resource_token(requirement, who))
            if requirement.value == CLARIFICATION:
                lines.extend(_question(response))
    if response.status == 429:
        schemes = accepted_tokens(response.headers, "accept-signature-scheme")
        more = f" A signed request gets its own, higher limit ({', '.join(schemes)})." if schemes else ""
        lines.append(f"{who} has had enough requests like this for now.{more}")
    if response.headers.get("aauth-access") is not None:
        lines.append(f"{who} gave the agent a session token, good only together with its signature.")
    if response.status >= 400 and not lines:
        lines.append(f"{who}: {error_of(response).detail}")
    if response.status == 202 and header is None:
        lines.append(f"{who} has not decided yet; the agent waits.")
    lines.extend(_issued(response, who))
    return lines


def _resource_token(requirement: Requirement, who: str) -> list[str]:
    if requirement.resource_token is None:
        return []
    try:
        scope = parse_jws(requirement.resource_token).payload.get("scope")
    except TokenInvalid:
        return [f"The resource token of {who} cannot be read."]
    return [f"The resource token asks for: {scope}."] if isinstance(scope, str) else []


def _question(response: Response) -> list[str]:
    """What the person wants to know (#requirement-clarification)."""
    body = _object(response.body)
    question, options = body.get("clarification"), body.get("options")
    if not isinstance(question, str):
        return ["It does not say what the question is."]
    choices = [option for option in options if isinstance(option, str)] if isinstance(options, list) else []
    return [f"The question: {question}", *([f"To choose from: {' | '.join(choices)}"] if choices else [])]


def _said(exchange: Exchange) -> list[str]:
    """What the agent answered to a question, or that it withdrew (#agent-response-to-clarification)."""
    request = exchange.request
    if request.method == "DELETE":
        return ["The agent withdraws its request."] if "/pending/" in request.path else []
    body = _object(request.body) if request.method == "POST" else {}
    match body.get("action"):
        case "clarification_response":
            return [f"The agent answers: {body.get('clarification_response')}"]
        case "updated_request":
            return ["The agent asks for something else instead, with a new resource token."]
    return []


def _object(body: bytes) -> dict[str, object]:
    """A JSON object, or nothing."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _issued(response: Response, who: str) -> list[str]:
    if response.status not in (200, 201):
        return []
    body = _object(response.body)
    names = {
        "agent_token": "an agent token",
        "person_token": "a person token",
        "auth_token": "an auth token",
        "resource_token": "a resource token",
        "mission": "a mission: what the person approved",
    }
    return [f"{who} issued {text}." for member, text in names.items() if isinstance(body.get(member), str)]


def _short_target(request: Request) -> str:
    path = request.path
    head, _, tail = path.rpartition("/")
    # A pending URL is a secret of the exchange: its last part is not for the screen.
    return f"{head}/{tail[:6]}…" if len(tail) > 24 else path
