"""Resource-managed access: the resource asks its own user, on its own page (#resource-managed-auth, #user-interaction).

What the page shows, who may decide, and where the browser goes afterwards. Knows no HTML and no cookies; how a user
signs in is the application's hook.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..deferred.machine import Event, IllegalTransition, State
from ..deferred.pending import MAX_CODE_ATTEMPTS, Completion, Opened, Pending, PendingRequests
from ..effects import Clock, FindMetadata, Flow
from ..errors import AAuthError, Expired, Gone, InvalidIdentifier, NotFound, RateLimited
from ..http import Response, json_response
from ..identifiers import callback_url, origin_of
from ..messages.codes import code_digest
from ..messages.metadata import AgentProviderMetadata, read_metadata
from ..messages.requirement import INTERACTION
from ..tokens import AGENT_DWK, AgentToken
from .callers import AsyncRunner
from .sessions import Sessions
from .storage import ResourceStore

__all__ = ["InteractionView", "Interactions", "SignIn", "owner_of"]

#: The application's own sign-in: user name and password to its user id, or `None`.
SignIn = Callable[[str, str], Awaitable[str | None]]

KIND = "session"
#: Interactions one agent may have open at a time.
_MOST_OPEN = 10


def owner_of(agent: AgentToken) -> str:
    """The owner of a pending request started by `agent`."""
    return f"{agent.iss} {agent.sub}"


@dataclass(frozen=True, slots=True, kw_only=True)
class InteractionView:
    """Everything the page shows about one interaction."""

    digest: str
    handle: str
    state: State
    agent_iss: str
    agent_sub: str
    provider_name: str | None
    """The agent provider's own name for itself."""
    scopes: tuple[tuple[str, str], ...]
    """Scope value and this resource's description of it, in Markdown."""
    user: str | None
    """Who arrived."""
    expires_at: float


class Interactions:
    """Opens interactions, and lets the person who arrived decide them."""

    def __init__(
        self,
        store: ResourceStore,
        pending: PendingRequests,
        *,
        wire: AsyncRunner,
        sessions: Sessions,
        scopes: Mapping[str, str],
        clock: Clock,
        dev: bool,
    ) -> None:
        self._store = store
        self._pending = pending
        self._wire = wire
        self._sessions = sessions
        self._scopes = scopes
        self._clock = clock
        self._dev = dev

    # ---------------------------------------------------------------- the agent's side

    async def open(self, agent: AgentToken, scopes: tuple[str, ...]) -> Response:
        """Start an interaction for `agent` and return the `202` with its URL and code. Raises `RateLimited`."""
        owner = owner_of(agent)
        if await self._store.count_waiting(owner, self._clock()) >= _MOST_OPEN:
            raise RateLimited("This agent has too many interactions open; finish or withdraw one.", retry_after_s=60)
        request = {"iss": agent.iss, "sub": agent.sub, "ps": agent.ps, "scope": list(scopes)}
        opened: Opened = await self._pending.open(kind=KIND, owner=owner, request=request, requirement=INTERACTION)
        return self._pending.accepted(opened, retry_after_s=1)

    async def complete(self, pending: Pending) -> Completion:
        """The answer to an approved interaction: a session token, kept in the transaction that delivers it."""
        scope = tuple(pending.decision["scope"])
        agent = (pending.request["iss"], pending.request["sub"])
        token, record = self._sessions.issue(agent=agent, user=pending.decision["user"], scope=scope)
        body = {"status": "authorized", "scope": " ".join(scope)}
        return Completion(json_response(200, body, headers=[("aauth-access", token)]), record)

    # ---------------------------------------------------------------- the person's side

    async def view(self, handle: str) -> InteractionView:
        """What stands at an interaction URL. Raises `NotFound`, `Expired`, or `Gone` when it was decided."""
        pending = await self._find(handle)
        self._check_time(pending)
        if not pending.waiting:
            raise Gone("This request was decided or withdrawn already.")
        return await self._view(pending)

    async def check_code(self, handle: str, code: str) -> None:
        """Compare a code without consuming it. A wrong one counts. Raises `InvalidCode` or `Expired`."""
        pending = await self._find(handle)
        self._check_time(pending)
        digest = code_digest(code)
        if not hmac.compare_digest(pending.code_digest or "", digest) or pending.code_consumed or not pending.waiting:
            # Counts the attempt, and raises.
            await self._store.consume_code(handle, digest, max_attempts=MAX_CODE_ATTEMPTS)

    async def arrive(self, handle: str, code: str, user: str) -> InteractionView:
        """The signed-in `user` arrives with the code, which is thereby used up. Raises `InvalidCode` or `Expired`."""
        self._check_time(await self._find(handle))
        pending = await self._store.consume_code(handle, code_digest(code), max_attempts=MAX_CODE_ATTEMPTS)
        try:
            pending = await self._store.decide_pending(pending.digest, Event.ARRIVE, {"user": user})
        except IllegalTransition as error:
            raise Gone("This request was decided or withdrawn already.") from error
        return await self._view(pending)

    async def approve(self, handle: str, user: str) -> None:
        """`user`, who arrived, approves. Raises `NotFound`, `Expired` or `Gone`."""
        pending = await self._arrived(handle, user)
        await self._decide(pending, Event.GRANT, {"user": user, "scope": list(pending.request["scope"])})

    async def deny(self, handle: str, user: str) -> None:
        """`user`, who arrived, says no."""
        pending = await self._arrived(handle, user)
        await self._decide(pending, Event.DENY, {"user": user}, "The person declined.")

    async def callback(self, handle: str, url: str) -> str | None:
        """`url` if the browser may be sent there afterwards, else `None` (#user-interaction).

        That is the agent provider's `callback_endpoint` or something under it, a loopback address where the provider
        allows one, or the origin of the agent's person server. Anywhere else would make this an open redirector.
        """
        try:
            pending = await self._find(handle)
            origin = origin_of(callback_url(url, dev=self._dev, localhost_allowed=True))
            ps = pending.request.get("ps")
            if ps is not None and origin == ps:
                return callback_url(url, dev=self._dev)
            provider = await self._provider(pending.request["iss"])
            if provider is None:
                return None
            endpoint = provider.callback_endpoint
            if endpoint is not None and (url == endpoint or url.startswith((endpoint + "?", endpoint + "/"))):
                return callback_url(url, dev=self._dev)
            if provider.localhost_callback_allowed and origin.startswith("http://"):
                return callback_url(url, dev=self._dev, localhost_allowed=True)
        except (InvalidIdentifier, NotFound):
            return None
        return None

    # ---------------------------------------------------------------- parts

    async def _find(self, handle: str) -> Pending:
        pending = await self._store.get_interaction(handle)
        if pending is None or pending.kind != KIND:
            raise NotFound("There is no such request. Check the link, or ask your agent to try again.")
        return pending

    def _check_time(self, pending: Pending) -> None:
        """A code lives no longer than what it is for (#interaction-code-format)."""
        if pending.expires_at <= self._clock():
            raise Expired("This request timed out. Ask your agent to try again.")

    async def _arrived(self, handle: str, user: str) -> Pending:
        pending = await self._find(handle)
        self._check_time(pending)
        if pending.state is not State.INTERACTING or pending.decision.get("user") != user:
            raise Gone("This request was decided or withdrawn already.")
        return pending

    async def _decide(self, pending: Pending, event: Event, decision: Mapping[str, Any], detail: str = "") -> None:
        try:
            await self._store.decide_pending(pending.digest, event, decision, detail=detail)
        except IllegalTransition as error:
            raise Gone("This request was decided or withdrawn already.") from error

    async def _view(self, pending: Pending) -> InteractionView:
        provider = await self._provider(pending.request["iss"])
        return InteractionView(
            digest=pending.digest,
            handle=pending.handle or "",
            state=pending.state,
            agent_iss=pending.request["iss"],
            agent_sub=pending.request["sub"],
            provider_name=provider.name if provider is not None else None,
            scopes=tuple((value, self._scopes.get(value, "")) for value in pending.request["scope"]),
            user=pending.decision.get("user"),
            expires_at=pending.expires_at,
        )

    async def _provider(self, issuer: str) -> AgentProviderMetadata | None:
        """The agent provider's metadata, or `None` when it cannot be had: a page is shown without it."""

        def flow() -> Flow[AgentProviderMetadata]:
            document = yield FindMetadata(issuer, AGENT_DWK)
            return read_metadata(AgentProviderMetadata, document, issuer=issuer, dev=self._dev)

        try:
            return await self._wire.run(flow())
        except AAuthError:
            return None
