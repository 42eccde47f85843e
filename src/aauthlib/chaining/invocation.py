"""One request an intermediary is serving, and what it takes to ask the caller's person in the middle of it
(#interaction-chaining).

As long as nobody is needed, nothing of this is seen: the application answers. The first time a call downstream needs
the person, the caller is answered with `202`, and what the application answers in the end is kept for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..deferred.machine import Event, State
from ..deferred.pending import Opened
from ..effects import Answer, Direct
from ..errors import AAuthError
from ..http import Response
from ..tokens import AuthToken, PersonToken

if TYPE_CHECKING:
    from .invocations import Invocations

__all__ = ["INVOCATION", "Invocation", "Withdrawn"]

#: Where the ASGI scope has what makes it, for the grant of the request.
INVOCATION = "aauth.invocation"

_LOOK_S = 30.0


class Withdrawn(AAuthError):
    """The caller withdrew its request, or its time is over: nothing more is done for it."""


class Invocation:
    """One request on its way through the application. Belongs to the event loop of `accepted`."""

    def __init__(
        self,
        keeper: Invocations,
        *,
        upstream: PersonToken | AuthToken,
        capabilities: tuple[str, ...],
        accepted: asyncio.Future[Response],
        responding: bool = False,
    ) -> None:
        self.upstream = upstream
        self.capabilities = capabilities
        """Of those the caller declared, what can be handed on to it: `interaction`, `clarification`."""
        self.failure: AAuthError | None = None
        """The last way a call downstream failed, for an application that lets it through."""
        self.responding = responding
        """The application's response has started, so that the caller can be asked nothing any more."""
        self.opened: Opened | None = None
        self.ended = False
        self.unshown: Response | None = None
        """A `202` with the code, which the caller has yet to see, when the first one asked something else."""
        self.accepted = accepted
        """The `202` for the caller, once there is one."""
        self._keeper, self._loop, self._step = keeper, accepted.get_loop(), 0
        self._one_at_a_time = asyncio.Lock()

    @property
    def detached(self) -> bool:
        """Whether the caller was answered with `202`."""
        return self.accepted.done() and not self.accepted.cancelled()

    # ---------------------------------------------------------------- hooks of the asynchronous client

    async def direct(self, direct: Direct) -> None:
        """The person is needed at `direct.url`: the caller is to get them there, by way of our own page."""
        async with self._one_at_a_time:
            self._check()
            self._step += 1
            target = {"step": self._step, "url": direct.url, "code": direct.code}
            if self.opened is None:
                self.opened = await self._keeper.open(self, target)
                self._answer_caller(self._keeper.interaction_required(self.opened))
                return
            first = self._step == 1
            await self._keeper.decide(self.opened, Event.ARRIVE, target)
            if first:
                self.unshown = self._keeper.interaction_required(self.opened)

    async def answer(self, question: Answer) -> str | None:
        """Have the caller answer a clarification question; `None` when it withdraws instead."""
        async with self._one_at_a_time:
            self._check()
            keeper, opened = self._keeper, self.opened
            if opened is None:
                opened = self.opened = await keeper.open(self, {})
            asked = {"question": question.question, "options": list(question.options), "timeout": question.timeout_s}
            pending = await keeper.decide(opened, Event.ASK, {**(await keeper.decision(opened)), "asked": asked})
            self._answer_caller(keeper.clarification_required(opened.url, pending))
            while pending.state is State.CLARIFYING:
                await keeper.wait(pending, _LOOK_S)
                pending = await keeper.current(opened)
            text = pending.decision.get("answer")
            return text if pending.waiting and isinstance(text, str) else None

    # ---------------------------------------------------------------- hooks of the blocking client

    def direct_from_thread(self, direct: Direct) -> None:
        """As `direct`, called in another thread."""
        asyncio.run_coroutine_threadsafe(self.direct(direct), self._loop).result()

    def answer_from_thread(self, question: Answer) -> str | None:
        """As `answer`, called in another thread."""
        return asyncio.run_coroutine_threadsafe(self.answer(question), self._loop).result()

    def check_from_thread(self, _: object) -> None:
        """Raise `Withdrawn` when nobody waits any more: a thread cannot be cancelled, but notices here."""
        if self.ended:
            raise Withdrawn("The caller withdrew its request.")

    # ---------------------------------------------------------------- parts

    def _check(self) -> None:
        if self.ended:
            raise Withdrawn("The caller withdrew its request.")
        if self.responding:
            raise AAuthError("The person is needed, and the response to the caller has started already.")

    def _answer_caller(self, response: Response) -> None:
        if not self.accepted.done():
            self.accepted.set_result(response)
