"""One request an intermediary is serving, and what it takes to ask the caller and its person in the middle of it
(#interaction-chaining).

As long as everything is answered at once, nothing of this is seen: the application answers. The first time a call
downstream has to wait, the caller is answered with `202`, and what the application answers in the end is kept for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..deferred.machine import State
from ..deferred.pending import Opened
from ..effects import Answer, Direct, Report
from ..errors import AAuthError, Expired
from ..http import Response
from ..tokens import AuthToken, PersonToken

if TYPE_CHECKING:
    from .invocations import Invocations

__all__ = ["INVOCATION", "Invocation", "Withdrawn"]

#: Where the ASGI scope has what makes it, for the grant of the request.
INVOCATION = "aauth.invocation"

_LOOK_S = 30.0
#: Longest question, and most options, that are handed on.
_MAX_QUESTION = 16_384
_MAX_OPTIONS = 100


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
        self.expires_at = min(keeper.clock() + keeper.policy.lifetime_s, float(upstream.exp))
        """When it has taken as long as it may."""
        self.failure: AAuthError | None = None
        """The last way a call downstream failed, for an application that lets it through."""
        self.responding = responding
        """The application's response has started, so that the caller can be asked nothing any more."""
        self.opened: Opened | None = None
        self.ended = False
        self.accepted = accepted
        """The `202` for the caller, once there is one."""
        self._keeper, self._loop = keeper, accepted.get_loop()
        self._one_at_a_time = asyncio.Lock()

    @property
    def detached(self) -> bool:
        """Whether the caller was answered with `202`."""
        return self.accepted.done() and not self.accepted.cancelled()

    def check(self) -> None:
        """Raise `Withdrawn` when nobody waits any more, `Expired` when it has taken too long."""
        if self.ended:
            raise Withdrawn("The caller withdrew its request.")
        if self.expires_at <= self._keeper.clock():
            raise Expired("The request took longer than it may; call again.")

    # ---------------------------------------------------------------- hooks of the asynchronous client

    async def direct(self, direct: Direct) -> None:
        """The person is needed at `direct.url`: the caller is to get them there, by way of our own page."""
        async with self._one_at_a_time:
            self._check_open()
            if self.opened is not None:
                await self._keeper.direct(self.opened, direct)
                return
            self.opened = await self._keeper.open(self, direct)
            self._answer_caller(self._keeper.polls.accepted(self.opened, interaction=True))

    async def answer(self, question: Answer) -> str | None:
        """Have the caller answer a clarification question; `None` when it cannot, or withdraws instead.

        Raises `Expired` when it does not answer in time.
        """
        too_long = len(question.question) > _MAX_QUESTION or len(question.options) > _MAX_OPTIONS
        if "clarification" not in self.capabilities or too_long:
            return None
        async with self._one_at_a_time:
            self._check_open()
            keeper = self._keeper
            if self.opened is None:
                self.opened = await keeper.open(self)
            until = self.expires_at
            if question.timeout_s is not None:
                until = min(until, keeper.clock() + question.timeout_s)
            pending = await keeper.ask(self.opened, question, until=until)
            self._answer_caller(keeper.polls.clarification_required(self.opened.url, pending))
            while pending.state is State.CLARIFYING:
                remaining = until - keeper.clock()
                if remaining <= 0:
                    raise Expired("The agent that called did not answer a question in time.")
                pending = await keeper.changed(pending, min(_LOOK_S, remaining))
            text = pending.decision.get("answer")
            return text if pending.waiting and isinstance(text, str) else None

    async def report(self, report: Report) -> None:
        """What is downstream has to wait, for an approval say: the caller does not have to hold its connection."""
        if report.event != "waiting" or self.detached:
            return
        async with self._one_at_a_time:
            self.check()
            if self.opened is None and not self.responding:
                self.opened = await self._keeper.open(self)
                self._answer_caller(self._keeper.polls.accepted(self.opened, interaction=False))

    # ---------------------------------------------------------------- hooks of the blocking client

    def direct_from_thread(self, direct: Direct) -> None:
        """As `direct`, called in another thread."""
        asyncio.run_coroutine_threadsafe(self.direct(direct), self._loop).result()

    def answer_from_thread(self, question: Answer) -> str | None:
        """As `answer`, called in another thread."""
        return asyncio.run_coroutine_threadsafe(self.answer(question), self._loop).result()

    def report_from_thread(self, report: Report) -> None:
        """As `report`, called in another thread. A thread cannot be cancelled, but notices here: raises `Withdrawn`."""
        if self.ended:
            raise Withdrawn("The caller withdrew its request.")
        if report.event == "waiting":
            asyncio.run_coroutine_threadsafe(self.report(report), self._loop).result()

    # ---------------------------------------------------------------- parts

    def _check_open(self) -> None:
        self.check()
        if self.responding:
            raise AAuthError("The caller is needed, and the response to it has started already.")

    def _answer_caller(self, response: Response) -> None:
        if not self.accepted.done():
            self.accepted.set_result(response)
