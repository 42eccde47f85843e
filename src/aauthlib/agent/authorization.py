"""Asking a resource for access before calling it: its authorization endpoint (#authorization-endpoint-request).

The agent presents a person token and names a scope; the resource answers with a resource token to redeem, or handles
authorization itself. The same way renews an auth token that is about to expire (#re-authorization).
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..deferred.polling import NotInTime
from ..effects import FindMetadata, Flow
from ..errors import AAuthError, Abandoned, Denied, Expired, Revoked
from ..http import Fields, Request
from ..identifiers import origin_of
from ..messages.bodies import AuthorizationRequest
from ..messages.metadata import ResourceMetadata, read_metadata
from ..messages.problems import error_of
from ..messages.requirement import AUTH_TOKEN, Requirement
from ..tokens import RESOURCE_DWK, AuthToken
from ..verification import Level
from .context import AgentContext, GrantPreferences, OpenRequests
from .errors import ChallengeInvalid, ChallengeUnmet
from .loop import Exchange

__all__ = ["authorize", "find_resource", "renew"]

#: A decision that ends an attempt to renew; anything else leaves it to the resource to challenge.
_FINAL = (Abandoned, Denied, Expired, Revoked)
_JSON = Fields({"content-type": "application/json", "accept": "application/json"})


def find_resource(agent: AgentContext, resource: str) -> Flow[ResourceMetadata]:
    """The metadata of `resource`; what it wants covered is remembered for every later request to it."""
    document = yield FindMetadata(resource, RESOURCE_DWK)
    metadata = read_metadata(ResourceMetadata, document, issuer=resource, dev=agent.dev)
    memory = agent.credentials.at(resource)
    wanted = [name.lower() for name in metadata.additional_signature_components or ()][:32]
    memory.components = tuple(dict.fromkeys((*memory.components, *wanted)))
    return metadata


def authorize(
    agent: AgentContext,
    resource: str,
    scope: str,
    *,
    account: str | None = None,
    preferences: GrantPreferences | None = None,
    open_requests: OpenRequests | None = None,
) -> Flow[AuthToken | None]:
    """Get access to `resource` for `scope` (space-separated) ahead of any call.

    Returns the auth token, which is also kept for calls to the resource; `None` when the resource manages
    authorization itself and the grant is a session it keeps. Raises `ChallengeUnmet` when the resource publishes no
    authorization endpoint, the resource's refusal (`InvalidScope`, `InvalidAccount`, ...), and as `exchange` does.
    """
    metadata = yield from find_resource(agent, resource)
    endpoint = metadata.authorization_endpoint
    if endpoint is None:
        raise ChallengeUnmet(
            f"{resource} has no authorization endpoint. Call it; it asks for what it needs when it needs it."
        )
    if origin_of(endpoint) != resource:
        # The person token presented there is for the resource, and must not travel anywhere else.
        raise ChallengeInvalid(f"{resource} has its authorization endpoint on another origin, so it is not used.")
    body = msgspec.json.encode(AuthorizationRequest(scope=scope, account=account))
    talk = Exchange(
        agent,
        Request("POST", endpoint, _JSON, body),
        preferences=preferences,
        open_requests=open_requests,
        ceiling=Level.PERSON,
        floor=Level.PERSON,
    )
    while True:
        response = yield from talk.run()
        if response.status != 200:
            raise error_of(response)
        document = _object(response.body)
        text = document.get("resource_token")
        if not isinstance(text, str):
            return None
        try:
            return (yield from talk.redeem(Requirement(AUTH_TOKEN, text), response))
        except NotInTime:
            raise
        except Expired as error:
            yield from talk.ask_anew(error)


def renew(
    agent: AgentContext,
    resource: str,
    old: AuthToken,
    preferences: GrantPreferences,
    open_requests: OpenRequests,
) -> Flow[AuthToken | None]:
    """A successor of `old` with the same scope and account; `None` when the resource has to be asked by calling it."""
    if old.scope is None:
        return None
    try:
        return (
            yield from authorize(
                agent,
                resource,
                " ".join(old.scope),
                account=old.account,
                preferences=preferences,
                open_requests=open_requests,
            )
        )
    except AAuthError as error:
        if isinstance(error, _FINAL):
            raise
        return None


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
