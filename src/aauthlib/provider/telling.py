"""Telling person servers that agent tokens were revoked, and telling again those that could not be told
(#revocation-cascade).

What is still to be told is in the store: the living tokens of revoked enrolments whose revocation is not confirmed. So
neither a restart nor a person server that is down loses any of it, and telling twice changes nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol, TypeVar

from ..effects import Clock, Flow
from ..keys import SigningKey
from ..store.provider_records import IssuedToken, ProviderStore
from .revocation import Outcome, RevokedToken, revoke_at_person_server

__all__ = ["AsyncRunner", "Telling"]

_AT_ONCE = 500
_FIRST_PAUSE_S = 30.0
_LONGEST_PAUSE_S = 600.0
_MAX_PAUSES = 1000
_CONFIRMED = (Outcome.REVOKED, Outcome.NO_PERSON_SERVER)

_T = TypeVar("_T")


class AsyncRunner(Protocol):
    """What the provider needs of a wire."""

    async def run(self, flow: Flow[_T]) -> _T:
        """Carry out a flow."""
        ...


class Telling:
    """The provider `issuer` as the one who tells."""

    def __init__(self, issuer: str, *, store: ProviderStore, wire: AsyncRunner, clock: Clock, dev: bool) -> None:
        self._issuer, self._store, self._wire, self._clock, self._dev = issuer, store, wire, clock, dev
        self._pauses: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Person servers that could not be told: until when they are left alone, and for how long that is."""

    async def tell(self, tokens: Sequence[IssuedToken], key: SigningKey) -> list[RevokedToken]:
        """Tell the person server of each token that it is revoked, and keep what is confirmed.

        One that does not answer is asked about one token only. Returns the outcomes in order.
        """
        unreachable: dict[str, str] = {}
        results = []
        for token in tokens:
            outcome, detail = Outcome.NO_PERSON_SERVER, "The token names no person server."
            if token.ps in unreachable:
                # Its other tokens would only wait for the same silence.
                outcome, detail = Outcome.UNAVAILABLE, unreachable[token.ps]
            elif token.ps is not None:
                flow = revoke_at_person_server(
                    token, token.ps, issuer=self._issuer, key=key, clock=self._clock, dev=self._dev
                )
                outcome, detail = await self._wire.run(flow)
                self._note(token.ps, outcome)
                if outcome is Outcome.UNAVAILABLE:
                    unreachable[token.ps] = detail
            if outcome in _CONFIRMED:
                await self._store.mark_revoked(token.jti, now=self._clock())
            results.append(RevokedToken(agent=token.agent, ps=token.ps, exp=token.exp, outcome=outcome, detail=detail))
        return results

    async def tell_again(self, key: SigningKey) -> int:
        """Tell of what is not confirmed and due; one person server each time after a longer pause.

        Returns how many revocations were confirmed.
        """
        now = self._clock()
        resting = [ps for ps, (until, _) in self._pauses.items() if until > now]
        tokens = await self._store.unconfirmed(now=now, limit=_AT_ONCE, except_for=resting)
        return sum(result.outcome in _CONFIRMED for result in await self.tell(tokens, key))

    def _note(self, ps: str, outcome: Outcome) -> None:
        _, before_s = self._pauses.pop(ps, (0.0, 0.0))
        if outcome in _CONFIRMED:
            return
        # A server that takes no revocations may be taught to, so it is asked again too, but rarely.
        longest = outcome is Outcome.UNSUPPORTED
        pause_s = _LONGEST_PAUSE_S if longest else min(max(_FIRST_PAUSE_S, 2 * before_s), _LONGEST_PAUSE_S)
        self._pauses[ps] = (self._clock() + pause_s, pause_s)
        while len(self._pauses) > _MAX_PAUSES:
            self._pauses.popitem(last=False)
