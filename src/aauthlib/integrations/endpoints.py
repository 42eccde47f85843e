"""Endpoints that say themselves what they ask of their caller, for any framework.

`Front` stands before the application: it serves the protocol's own paths and verifies who calls, once per request.
`admit` is what an endpoint's own rule comes to. `integrations.starlette`, `flask` and `django` are these two in the
words of their framework.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..agent.keystore import FileKeystore, aauth_home, checked_name, write_private
from ..chaining import Intermediary
from ..errors import AAuthError, AccessDenied, ConfigurationError
from ..http import Fields, Request, Response
from ..keys import SigningKey
from ..resource import AccessRule, Decision, Grant, Match, MemoryResourceStore, Policy, Resource, anonymous, refusal
from ..transport import AsyncWire
from ..verification import Caller, Level
from ..web.asgi import ASGIApp, BodyTooLarge, ClientGone, Message, Receive, Scope, Send, send_response
from ..web.resource import AAuthMiddleware, invite, seal
from ..web.streaming import VerifiedBody

__all__ = ["Front", "Refused", "admit", "resource_from", "resource_key"]

_KEY = "aauth.admission"
_OPEN = Match(anonymous(), "open")


class Refused(Exception):
    """A request that an endpoint's rule refuses, with the response that says why.

    A class of its own: an `AAuthError` of an agent that the application itself uses is the application's business.
    """

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


@dataclass(slots=True)
class _Admission:
    """One request on its way through the application: who calls, and what was decided about it so far."""

    request: Request
    caller: Caller
    client: str
    max_body_bytes: int
    decisions: list[Decision] = field(default_factory=list)
    private: bool = False


class Front(AAuthMiddleware):
    """Serves the protocol's own paths, and verifies who calls. What they may do is for the endpoints to decide."""

    def __init__(self, app: ASGIApp, resource: Resource, **options: Any) -> None:
        super().__init__(app, resource, Policy([], default=anonymous()), **options)

    async def _application(self, scope: Scope, fields: Fields, receive: Receive, send: Send) -> None:
        try:
            request, body = await self._read(scope, fields, receive, _OPEN)
            caller = await self.resource.verify(request)
        except ClientGone:
            return
        except AAuthError as error:
            await send_response(send, refusal(error, self.resource.signature))
            return
        assert not isinstance(body, VerifiedBody), "bodies are not streamed before it is known who calls"
        admission = _Admission(request, caller, self._client_address(scope), self._max_body_bytes)
        inner = {name: value for name, value in scope.items() if name != "aauth"}
        await self.app({**inner, _KEY: admission}, body, self._finishing(send, admission))

    def _finishing(self, send: Send, admission: _Admission) -> Send:
        """A `send` that adds to the start of the response what was decided while the application ran."""

        async def finishing(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [header for decision in admission.decisions for header in decision.headers]
                message = seal(message, tuple(headers), private=admission.private)
                if admission.caller.level is Level.ANONYMOUS:
                    message = invite(message, self.resource.invitation)
            await send(message)

        return finishing


async def admit(
    resource: Resource,
    scope: Scope,
    rule: AccessRule,
    *,
    name: str,
    parameters: Mapping[str, str],
    read_body: Callable[[], Awaitable[bytes]],
) -> Grant:
    """What the caller of the request in `scope` may do, when it satisfies `rule`; from then on in `scope["aauth"]` too.

    `name` names the endpoint, for rate limits; `parameters` are those of its path; `read_body` gives the body of a call
    that may be held. Raises `Refused` with the challenge or the refusal (#aauth-requirement), and `ConfigurationError`
    for a request that did not come through `Front` or a rule that does not fit the path.
    """
    if rule.account is not None and rule.account not in parameters:
        raise ConfigurationError(f"The rule binds an account by {rule.account!r}, which is not in this path.")
    admission = scope.get(_KEY)
    if not isinstance(admission, _Admission) and not isinstance(scope.get("aauth"), Grant):
        raise ConfigurationError(
            "This request did not come through AAuth: install it in front of the application first."
        )
    try:
        if not isinstance(admission, _Admission):
            return _held_grant(scope["aauth"], rule, parameters)
        if rule.level is Level.AUTHORIZED and rule.delivery == "202":
            await _hold_body(admission, read_body)
        match = Match(rule, name, parameters)
        decision = await resource.admit(admission.request, admission.caller, match, client=admission.client)
    except AAuthError as error:
        raise Refused(refusal(error, resource.signature)) from error
    admission.decisions.append(decision)
    admission.private |= rule.level is not Level.ANONYMOUS
    scope["aauth"] = decision.grant
    return decision.grant


async def _hold_body(admission: _Admission, read_body: Callable[[], Awaitable[bytes]]) -> None:
    """A call that may be held is held with its body. One that was not covered is known only now."""
    if admission.request.body:
        return
    body = await read_body()
    if len(body) > admission.max_body_bytes:
        raise BodyTooLarge("The body is larger than what is kept of a held invocation.")
    old = admission.request
    admission.request = Request(old.method, old.url, old.headers, body)


def _held_grant(grant: Grant, rule: AccessRule, parameters: Mapping[str, str]) -> Grant:
    """The grant of a held invocation that is now carried out (#deferred-auth-token): it must satisfy `rule`."""
    reached = grant.level >= rule.level and rule.allow is None and not rule.denied
    bound = rule.account is None or grant.account == parameters[rule.account]
    if not reached or not bound or not grant.has_scope(*rule.scopes):
        raise AccessDenied("What was granted for this call does not cover all that it asks for.")
    return grant


def resource_from(
    resource: Resource | None,
    issuer: str | None,
    dev: bool,
    settings: Mapping[str, Any],
    *,
    intermediary: bool = False,
) -> Resource:
    """The `resource` that was given, or one made of `issuer` and `settings`, with a default for what is left out.

    An `intermediary` calls other resources for its callers.

    The defaults are for one process: `wire` fetches over the guarded network, `store` is in memory, and `signing_key`
    is kept in a file of this user's (`resource_key`). Raises `ConfigurationError` for both, for neither, and for
    settings that cannot work.
    """
    if (resource is None) == (issuer is None) or (resource is not None and (settings or dev or intermediary)):
        raise ConfigurationError("Give AAuth either a resource, or an issuer and the other settings of Resource.")
    if resource is not None:
        return resource
    clock = settings.get("clock", time.time)
    given = dict(settings)
    if "wire" not in given:
        given["wire"] = AsyncWire.open(dev=dev)
    if "store" not in given:
        given["store"] = MemoryResourceStore(clock)
    if "signing_key" not in given:
        given["signing_key"] = resource_key(str(issuer))
    kind = Intermediary if intermediary else Resource
    return kind(issuer=str(issuer), dev=dev, **given)


def resource_key(issuer: str, directory: Path | None = None) -> SigningKey:
    """The key a resource signs with, from this user's files; made at the first call.

    Kept with mode 0600 in `directory`, by default `resources` beside the agent identities (`AAUTH_HOME`). Processes
    that start at once agree on one key. Raises `ConfigurationError` when the file cannot be used.
    """
    parts = urlsplit(issuer)
    name = checked_name(f"{parts.hostname or ''}" + (f".{parts.port}" if parts.port else ""))
    keys = FileKeystore(directory if directory is not None else aauth_home() / "resources")
    path = keys.directory / f"{name}.key.json"
    if not path.exists():
        key = SigningKey.generate(kid=secrets.token_urlsafe(8))
        own = path.with_name(f".{name}.{secrets.token_hex(8)}")
        write_private(own, json.dumps(key.to_private_jwk()) + "\n")
        try:
            os.link(own, path)  # the first one wins, whole
        except FileExistsError:
            pass
        finally:
            own.unlink(missing_ok=True)
    return keys.read(name)
