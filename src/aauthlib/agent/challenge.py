"""Reading and verifying what a resource requires (#requirement-responses, #resource-challenge-verification).

Nothing here acts on a requirement. A resource token that fails a check is refused before anybody else hears of it: a
resource must not be able to have a person asked for what it may not ask for.
"""

from __future__ import annotations

from ..effects import Flow
from ..errors import AAuthError, TokenExpired, TokenInvalid
from ..http import Response
from ..messages.requirement import Requirement, RequirementMalformed
from ..tokens import AuthToken, PersonToken, ResourceToken, verify
from ..tokens.checks import check_resource_challenge
from .context import AgentContext
from .errors import ChallengeInvalid
from .sending import Attempt, resource_of

__all__ = ["is_deferred", "is_session_grant", "requirement_of", "verified_challenge"]


def is_deferred(response: Response) -> bool:
    """Whether a `202` is the protocol's (#pending-response) and not an ordinary API's own."""
    if response.status != 202:
        return False
    if "aauth-requirement" in response.headers:
        return True
    if "location" not in response.headers or "no-store" not in (response.headers.get("cache-control") or "").lower():
        return False
    try:
        body = response.json()
    except ValueError:
        return False
    return isinstance(body, dict) and isinstance(body.get("status"), str)


def is_session_grant(response: Response) -> bool:
    """Whether a deferred response ended in `{"status": "authorized"}` with a session token, not in a result."""
    if response.status != 200 or "aauth-access" not in response.headers:
        return False
    try:
        body = response.json()
    except ValueError:
        return False
    return isinstance(body, dict) and body.get("status") == "authorized"


def requirement_of(response: Response, resource: str) -> Requirement | None:
    """What `response` requires; `None` when it requires nothing. Raises `ChallengeInvalid` when it cannot be read."""
    header = response.headers.get("aauth-requirement")
    if header is None:
        return None
    try:
        return Requirement.parse(header)
    except RequirementMalformed as error:
        raise ChallengeInvalid(
            f"{resource} requires something that cannot be read. {error.detail}", response=response
        ) from error


def verified_challenge(
    agent: AgentContext, requirement: Requirement, response: Response, attempt: Attempt
) -> Flow[tuple[ResourceToken, PersonToken | AuthToken]]:
    """#resource-challenge-verification: the resource token of a challenge, and the token it was issued against.

    `attempt` is the request that `response` answers. Raises `ChallengeInvalid` naming the check that failed.
    """
    resource = resource_of(attempt.request)
    presented, key = attempt.credential.presented, attempt.credential.key
    # 1. The resource token, which only a request with a person or auth token can be answered with.
    if requirement.resource_token is None:
        raise ChallengeInvalid(
            f"{resource} requires an auth token without sending a resource token.", response=response
        )
    if presented is None or key is None:
        raise ChallengeInvalid(
            f"{resource} sent a resource token although this agent presented {attempt.credential.name}: it has to ask "
            "for a person token first.",
            response=response,
        )
    try:
        # 2 and 6. Signature, type, issuer, expiry.
        token = yield from _resource_token(agent, requirement.resource_token)
        # 3 to 5. Resource, key, person server, person, presented token.
        check_resource_challenge(
            token, resource=resource, agent_key=key.public, presented=presented, person_server=presented.person_server
        )
        if token.mission_s256 != presented.mission_s256 or token.tenant != presented.tenant:
            raise TokenInvalid("The resource token names another mission or tenant than the token presented.")
    except AAuthError as error:
        raise ChallengeInvalid(
            f"The resource token of {resource} is refused, and nothing was asked of the person server. {error.detail}",
            response=response,
        ) from error
    return token, presented


def _resource_token(agent: AgentContext, text: str) -> Flow[ResourceToken]:
    """The resource token, verified: by the person server's time, else by our own.

    What the person server said of our clock may be over: its own was wrong then. It says so again if it was not.
    """
    try:
        return (yield from verify(text, ResourceToken, now=agent.now(), policy=agent.verification))
    except TokenExpired:
        if agent.credentials.clock_offset_s <= 0:
            raise
        token = yield from verify(text, ResourceToken, now=agent.clock(), policy=agent.verification)
        agent.credentials.clock_offset_s = 0.0
        return token
