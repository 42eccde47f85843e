"""Held invocations: `requirement=auth-token` delivered as `202` (#deferred-auth-token).

Rules for whoever edits this file:

1. An invocation is executed by whoever moves it from HELD to EXECUTING, a conditional update in the store, so once.
2. Execution runs in a task of its own: a client that hangs up does not stop it half-way.
3. Whatever goes wrong after EXECUTING ends FAILED and is answered `500`. It is never executed again, since nobody can
   know how far it came. A process that died leaves EXECUTING behind; after the longest an execution may take, that too
   is FAILED.
4. The result is given to the auth token it was executed with, by `(iss, jti)`, until that token's `exp`.

Knows no ASGI: what executes an invocation is passed in.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..base64url import b64url_encode
from ..deferred.pending import accepted_response, id_digest
from ..effects import Clock
from ..errors import Expired, Gone, NotFound, ServerError, SlowDown
from ..http import Fields, Request, Response
from ..messages.requirement import AUTH_TOKEN, Requirement
from ..store.resource_records import Held, HeldState
from ..tokens import AuthToken
from ..verification import Caller
from .issuing import ResourceTokenIssued
from .ratelimit import Limit, RateLimiter
from .storage import ResourceStore

__all__ = ["Execute", "HeldInvocations", "HeldPolicy"]

#: Carries an invocation out and returns the whole response.
Execute = Callable[[Request], Awaitable[Response]]

_log = logging.getLogger("aauthlib.resource")

_POLLS = Limit(20, 10.0)
_RETRY_AFTER_S = 5
#: Header fields that are not kept: credentials, which must not lie in a store, and what belongs to a connection.
_NOT_KEPT = frozenset(
    {
        "authorization",
        "connection",
        "cookie",
        "keep-alive",
        "prefer",
        "proxy-authorization",
        "signature",
        "signature-input",
        "signature-key",
        "te",
        "transfer-encoding",
        "upgrade",
    }
)
_NOT_RETAINED = frozenset(
    {"cache-control", "connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"}
)


@dataclass(frozen=True, slots=True)
class HeldPolicy:
    """Bounds on held invocations."""

    lifetime_s: float = 900.0
    """How long an invocation waits for its auth token."""
    execution_s: float = 60.0
    """How long one may take."""
    max_result_bytes: int = 1_048_576
    most_per_key: int = 20
    """Invocations one key may have held at a time; further ones are challenged with `401`."""


class HeldInvocations:
    """Holds invocations, and executes each at most once."""

    def __init__(
        self,
        store: ResourceStore,
        *,
        url: str,
        clock: Clock,
        limiter: RateLimiter,
        policy: HeldPolicy,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._url = url
        self._clock = clock
        self._limiter = limiter
        self._policy = policy
        self._random_bytes = random_bytes
        self._running: dict[str, asyncio.Task[None]] = {}

    async def open(
        self,
        request: Request,
        *,
        agent_jkt: str,
        scopes: tuple[str, ...],
        account: str | None,
        token: ResourceTokenIssued,
    ) -> Response | None:
        """Hold `request` and return the `202`, or `None` when this key has too many held."""
        now = self._clock()
        pending_id = b64url_encode(self._random_bytes(32))
        held = Held(
            digest=id_digest(pending_id),
            agent_jkt=agent_jkt,
            method=request.method,
            target=request.target,
            headers=tuple((name, value) for name, value in request.headers if name not in _NOT_KEPT),
            body=request.body,
            scopes=scopes,
            account=account,
            created_at=now,
            expires_at=now + self._policy.lifetime_s,
            token_expires_at=token.exp,
        )
        if not await self._store.hold(held, most=self._policy.most_per_key):
            return None
        return self._waiting(pending_id, token)

    async def find(self, pending_id: str, caller: Caller) -> Held | None:
        """The invocation at this pending URL, or `None` when the id is of no invocation.

        Raises `NotFound` when another key made the request, as for an id that does not exist.
        """
        held = await self._store.get_held(id_digest(pending_id))
        if held is None:
            return None
        if caller.key is None or not hmac.compare_digest(caller.key.thumbprint, held.agent_jkt):
            raise NotFound("There is no such pending request for this caller.")
        return held

    async def wait(self, pending_id: str, held: Held, token: ResourceTokenIssued | None) -> Response:
        """Answer a poll that does not bring an auth token that will do; `token` is a fresh resource token, if any."""
        self._count(held)
        held = await self._current(held)
        if held.state not in (HeldState.HELD, HeldState.EXECUTING):
            raise Gone("This invocation is over; its result is given only to the auth token it was executed with.")
        if token is not None:
            await self._store.renew_held(held.digest, token.exp)
        return self._waiting(pending_id, token)

    async def present(self, pending_id: str, held: Held, auth_token: AuthToken, execute: Execute) -> Response:
        """Answer a poll that presents an auth token for the invocation: execute it, or give the retained result."""
        self._count(held)
        held = await self._current(held)
        jti = (auth_token.iss, auth_token.jti)
        if held.state is HeldState.HELD:
            started = await self._store.advance_held(
                held.digest,
                HeldState.EXECUTING,
                jti=jti,
                started_at=self._clock(),
                retain_until=auth_token.exp,
            )
            if started is not None:
                task = asyncio.create_task(self._execute(started, execute))
                self._running[held.digest] = task
                task.add_done_callback(lambda _: self._running.pop(held.digest, None))
        running = self._running.get(held.digest)
        if running is not None:
            await asyncio.wait({running})
        held = await self._current(await self._store.get_held(held.digest) or held)
        if held.jti != jti or held.state in (HeldState.CANCELLED, HeldState.EXPIRED):
            raise Gone("This invocation is over; its result is given only to the auth token it was executed with.")
        if held.state is HeldState.EXECUTING:
            return self._waiting(pending_id, None)
        if held.state is HeldState.FAILED or held.status is None:
            raise ServerError("The invocation began and its result is not known. It will not be executed again.")
        return Response(held.status, Fields(held.result_headers), held.result_body)

    async def cancel(self, held: Held) -> None:
        """Withdraw an invocation that was not executed (#cancel-request). Raises `Gone`."""
        if await self._store.advance_held(held.digest, HeldState.CANCELLED) is None:
            raise Gone("This invocation is over, or is being executed.")

    async def _current(self, held: Held) -> Held:
        """`held`, moved on by the clock where its time has come."""
        now = self._clock()
        if held.state is HeldState.HELD and held.expires_at <= now:
            if await self._store.advance_held(held.digest, HeldState.EXPIRED) is not None:
                raise Expired("No auth token was presented in time; make the request again.")
            held = await self._store.get_held(held.digest) or held
        longest = (held.started_at or 0.0) + 2 * self._policy.execution_s
        if held.state is HeldState.EXECUTING and held.digest not in self._running and now >= longest:
            # Whatever process executed it died while it did.
            await self._store.advance_held(held.digest, HeldState.FAILED)
            held = await self._store.get_held(held.digest) or held
        if held.state in (HeldState.CANCELLED, HeldState.EXPIRED):
            raise Gone("This invocation was withdrawn, or timed out.")
        if held.retain_until is not None and held.retain_until <= now and held.state is not HeldState.EXECUTING:
            raise Gone("This invocation is over and its result is no longer kept.")
        return held

    async def _execute(self, held: Held, execute: Execute) -> None:
        request = Request(held.method, self._origin + held.target, Fields(held.headers), held.body)
        try:
            response = await asyncio.wait_for(execute(request), self._policy.execution_s)
        except Exception as error:
            _log.error("a held invocation failed: %s", type(error).__name__)
            await self._store.advance_held(held.digest, HeldState.FAILED)
            return
        if len(response.body) > self._policy.max_result_bytes:
            _log.error("the result of a held invocation exceeds %d bytes", self._policy.max_result_bytes)
            await self._store.advance_held(held.digest, HeldState.FAILED)
            return
        headers = [(name, value) for name, value in response.headers if name not in _NOT_RETAINED]
        headers.append(("cache-control", "no-store"))
        await self._store.advance_held(
            held.digest,
            HeldState.DONE,
            status=response.status,
            result_headers=tuple(headers),
            result_body=response.body,
        )

    @property
    def _origin(self) -> str:
        return Request("GET", self._url).origin

    def _count(self, held: Held) -> None:
        if self._limiter.take(("held", held.digest), _POLLS):
            raise SlowDown("Poll less often: add five seconds to the interval.")

    def _waiting(self, pending_id: str, token: ResourceTokenIssued | None) -> Response:
        requirement = Requirement(AUTH_TOKEN, resource_token=token.text) if token is not None else None
        return accepted_response(self._url + pending_id, requirement=requirement, retry_after_s=_RETRY_AFTER_S)
