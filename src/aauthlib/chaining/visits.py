"""The person's side of a chained interaction: they come with our code, and are taken on to whoever needs them.

One invocation may need the person more than once, for a person token and for what it is to be allowed, or at several
resources. They come by our page each time, so that the caller has to send them only once. What is downstream of us is
known to them as they get there, and to the caller never.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from ..deferred.machine import State
from ..deferred.pending import MAX_CODE_ATTEMPTS, Pending
from ..effects import Clock
from ..errors import Expired, Gone, NotFound
from ..messages.codes import code_digest
from ..resource.storage import ResourceStore

__all__ = ["KIND", "Onward", "Visits"]

KIND = "chained"


@dataclass(frozen=True, slots=True)
class Onward:
    """Where the person goes next: to `url`, or, with none, nowhere until `state` changes."""

    state: State
    url: str | None = None


class Visits:
    """Visits to the interaction URLs below `url`."""

    def __init__(self, store: ResourceStore, *, url: str, clock: Clock) -> None:
        self._store, self._onward, self._clock = store, url, clock

    async def arrive(self, handle: str, code: str) -> Onward:
        """The person comes with our code, which is thereby used up; they are taken to where they are needed.

        Raises `NotFound`, `InvalidCode`, `Expired` or `Gone`.
        """
        await self._interaction(handle)
        pending = await self._store.consume_code(handle, code_digest(code), max_attempts=MAX_CODE_ATTEMPTS)
        return self._next(pending, handle, after=0)

    async def come_back(self, handle: str, nonce: str, step: int, *, wait_s: float) -> Onward:
        """The person is back from `step`: to the next place, if there is one within `wait_s` seconds."""
        pending = await self._interaction(handle, over_too=True)
        if not hmac.compare_digest(pending.request["nonce"].encode(), nonce.encode("utf-8", "replace")):
            raise NotFound("There is no such request. Check the link, or ask your agent to try again.")
        deadline = self._clock() + wait_s
        while True:
            onward = self._next(pending, handle, after=step)
            if onward.url is not None or not pending.waiting or self._clock() >= deadline:
                return onward
            if not await self._moved(pending, max(0.1, deadline - self._clock())):
                return onward
            pending = await self._interaction(handle, over_too=True)

    async def _moved(self, before: Pending, timeout_s: float) -> bool:
        """Whether it changed in time."""
        await self._store.wait_pending(before, timeout_s)
        current = await self._store.get_pending(before.digest)
        return current is not None and (current.state, current.decision) != (before.state, before.decision)

    async def _interaction(self, handle: str, *, over_too: bool = False) -> Pending:
        pending = await self._store.get_interaction(handle)
        if pending is None or pending.kind != KIND:
            raise NotFound("There is no such request. Check the link, or ask your agent to try again.")
        if pending.waiting and pending.expires_at <= self._clock():
            raise Expired("This request timed out. Ask your agent to try again.")
        if not over_too and not pending.waiting:
            raise Gone("This request was decided or withdrawn already.")
        return pending

    def _next(self, pending: Pending, handle: str, *, after: int) -> Onward:
        target = pending.decision if "url" in pending.decision else pending.request["target"]
        step = target.get("step", 0)
        if not pending.waiting or step <= after:
            return Onward(pending.state)
        back = f"{self._onward}{handle}.{pending.request['nonce']}.{step}"
        return Onward(pending.state, f"{target['url']}?code={target['code']}&callback={back}")
