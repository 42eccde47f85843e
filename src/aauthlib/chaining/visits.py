"""The person's side of a chained interaction: they come with our code, and are taken on to whoever needs them.

One invocation may need the person more than once, for a person token and for what it is to be allowed, or at several
resources. They come by our page each time, so that the caller has to send them only once. What is downstream of us is
known to them as they get there, and to the caller never.

A resource that calls us may have been called itself, and then wants its person back when we are done: it sends them
with a `callback` of its own page (#user-interaction). So they are taken down the chain and up again.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, replace

from ..deferred.callbacks import CALLBACK_ERRORS, permitted_callback, with_parameters
from ..deferred.machine import State
from ..deferred.pending import MAX_CODE_ATTEMPTS, Pending
from ..effects import FindMetadata, Flow
from ..errors import AAuthError, Expired, Gone, InvalidCode, NotFound
from ..identifiers import callback_url, origin_of
from ..messages.codes import code_digest
from ..messages.metadata import AgentProviderMetadata, read_metadata
from ..resource.callers import AsyncRunner
from ..store.resource_records import InvocationRecord
from ..tokens import AGENT_DWK
from .ledger import Ledger

__all__ = ["KIND", "Onward", "Visits"]

KIND = "chained"

_UNKNOWN = "There is no such request. Check the link, or ask your agent to try again."


@dataclass(frozen=True, slots=True)
class Onward:
    """Where the person goes next: to `url`, or, with none, nowhere until `state` changes."""

    state: State
    url: str | None = None


class Visits:
    """Visits to the interaction URLs below `url`."""

    def __init__(self, ledger: Ledger, *, url: str, wire: AsyncRunner, dev: bool) -> None:
        self._ledger, self._store, self._clock = ledger, ledger.store, ledger.clock
        self._onward, self._wire, self._dev = url, wire, dev

    async def arrive(self, handle: str, code: str, *, callback: str = "") -> Onward:
        """The person comes with our code, which is thereby used up; they are taken to where they are needed.

        `callback` is where they are to go when all is over; one that no agent provider vouches for is passed over.
        Raises `NotFound`, `InvalidCode`, `Expired` or `Gone`.
        """
        try:
            await self._interaction(handle)
            pending = await self._store.consume_code(handle, code_digest(code), max_attempts=MAX_CODE_ATTEMPTS)
        except (Expired, Gone):
            return await self._refused(handle, code, callback)
        record = await self._record(pending)
        permitted = await self._permitted(callback, pending)
        if permitted is not None:
            await self._store.update_invocation(pending.digest, callback=permitted)
            record = replace(record, callback=permitted)
        return await self._next(pending, record, after=0)

    async def come_back(self, handle: str, nonce: str, step: int, *, wait_s: float) -> Onward:
        """The person is back from `step`: to the next place, if there is one within `wait_s` seconds.

        Raises `NotFound` or `Expired`.
        """
        pending = await self._interaction(handle, over_too=True)
        record = await self._record(pending)
        if not hmac.compare_digest(record.nonce.encode(), nonce.encode("utf-8", "replace")):
            raise NotFound(_UNKNOWN)
        await self._store.update_invocation(pending.digest, seen_at=self._clock())
        deadline = self._clock() + wait_s
        while True:
            onward = await self._next(pending, record, after=step)
            if onward.url is not None or not pending.waiting or self._clock() >= deadline:
                return onward
            before = pending.version
            await self._store.wait_pending(pending, max(0.1, deadline - self._clock()))
            pending = await self._interaction(handle, over_too=True)
            if pending.version == before and pending.waiting:
                return onward
            record = await self._record(pending)

    # ---------------------------------------------------------------- parts

    async def _interaction(self, handle: str, *, over_too: bool = False) -> Pending:
        pending = await self._store.get_interaction(handle)
        if pending is None or pending.kind != KIND:
            raise NotFound(_UNKNOWN)
        pending = await self._ledger.settled(pending)
        if not over_too and pending.state is State.EXPIRED:
            raise Expired("This request timed out. Ask your agent to try again.")
        if not over_too and not pending.waiting:
            raise Gone("This request was decided or withdrawn already.")
        return pending

    async def _record(self, pending: Pending) -> InvocationRecord:
        record = await self._store.get_invocation(pending.digest)
        if record is None:
            raise NotFound(_UNKNOWN)
        return record

    async def _next(self, pending: Pending, record: InvocationRecord, *, after: int) -> Onward:
        if not pending.waiting:
            return Onward(pending.state, _ended_at(record.callback, pending.state))
        if record.step <= after or record.url is None or record.code is None:
            return Onward(pending.state)
        # The wait may have been a long one for whoever polls: from here on nobody else is sent there.
        await self._store.update_invocation(pending.digest, visited=record.step, seen_at=self._clock())
        back = f"{self._onward}{pending.handle}.{record.nonce}.{record.step}"
        return Onward(pending.state, with_parameters(record.url, code=record.code, callback=back))

    async def _refused(self, handle: str, code: str, callback: str) -> Onward:
        """Whoever comes too late goes where they came from, with the reason (#interaction-callback-errors).

        With the right code only: nobody else makes us look anything up. Raises `Expired`, `Gone` or `NotFound`.
        """
        pending = await self._interaction(handle, over_too=True)
        known = pending.code_digest or ""
        if not hmac.compare_digest(known, code_digest(code)) or pending.code_consumed:
            raise InvalidCode("The code was used already, or is no longer valid.")
        permitted = await self._permitted(callback, pending)
        if permitted is not None:
            return Onward(pending.state, _ended_at(permitted, pending.state))
        if pending.state is State.EXPIRED:
            raise Expired("This request timed out. Ask your agent to try again.")
        raise Gone("This request was decided or withdrawn already.")

    async def _permitted(self, value: str, pending: Pending) -> str | None:
        """`value` if the person may be sent there: to the person server that vouches for them, or to what an agent
        provider publishes as its callback.

        The caller's token does not say which provider is its own (#auth-token-structure), so any will do that lives at
        the origin the person is sent to: what is followed is never more than an agent of its own could have asked for.
        """
        if not value:
            return None
        try:
            origin = origin_of(callback_url(value, dev=self._dev))
            if origin == pending.request["ps"]:
                return value
            provider = await self._wire.run(self._provider(origin))
        except AAuthError:
            return None
        return permitted_callback(value, provider, dev=self._dev)

    def _provider(self, origin: str) -> Flow[AgentProviderMetadata]:
        document = yield FindMetadata(origin, AGENT_DWK)
        return read_metadata(AgentProviderMetadata, document, issuer=origin, dev=self._dev)


def _ended_at(callback: str | None, state: State) -> str | None:
    """`callback` for somebody who comes from a request that ended so."""
    if callback is None:
        return None
    error = "server_error" if state is State.CANCELLED else CALLBACK_ERRORS.get(state)
    return callback if error is None else with_parameters(callback, error=error)
