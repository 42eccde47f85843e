"""Telling resources that auth tokens of this server are withdrawn (#revocation-cascade, #revocation-response).

A cascade goes on when its caller stops waiting, and is joined by whoever asks about the same token again. Each outcome
is written down as it comes, so that a restart loses nothing but time: what has no outcome yet is tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from ..deferred.revoking import RECORDED, UNAVAILABLE, revoke_at
from ..errors import AAuthError
from ..messages.metadata import ResourceMetadata
from ..store.access_records import IssuedAuthToken
from .core import AccessServerCore

__all__ = ["Cascades", "report", "tell_resources"]

_AT_ONCE = 16
_REQUEST_S = 5.0
#: How long one resource that answers `202` is polled.
_FOLLOW_S = 60.0


async def tell_resources(server: AccessServerCore, tokens: Sequence[IssuedAuthToken]) -> None:
    """Revoke each token at the resource it is for, and keep each outcome. Those that succeeded before are left out."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def tell(token: IssuedAuthToken) -> None:
        async with slots:
            flow = revoke_at(
                token.aud,
                ResourceMetadata,
                jti=token.jti,
                exp=token.exp,
                sign=server.signed,
                clock=server.clock,
                dev=server.dev,
                timeout_s=_REQUEST_S,
                deadline_s=_FOLLOW_S,
            )
            try:
                outcome = (await server.run(flow)).outcome
            except AAuthError:
                outcome = UNAVAILABLE
            await server.store.record_outcome(token.jti, outcome)

    await asyncio.gather(*(tell(token) for token in tokens if token.revocation != RECORDED))


def report(tokens: Sequence[IssuedAuthToken]) -> list[dict[str, str]]:
    """The `downstream` member: one entry for each resource; one token not revoked there is an error of the resource."""
    worst: dict[str, str | None] = {}
    for token in tokens:
        error = None if token.revocation == RECORDED else token.revocation or UNAVAILABLE
        if worst.get(token.aud) != UNAVAILABLE and (error is not None or token.aud not in worst):
            worst[token.aud] = error
    return [{"recipient": resource, **({"error": error} if error else {})} for resource, error in sorted(worst.items())]


class Cascades:
    """Cascades under way in this process, by what was revoked."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    async def run(self, key: tuple[str, str], start: Callable[[], Coroutine[Any, Any, None]], *, hold_s: float) -> bool:
        """Join the cascade of `key`, or `start` one. Returns whether it ended within `hold_s` seconds."""
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.create_task(start(), name="revocation cascade")
            self._tasks[key] = task
            task.add_done_callback(lambda done: self._tasks.pop(key, None))
        done, _ = await asyncio.wait({task}, timeout=hold_s)
        if done:
            task.result()
        return bool(done)

    async def aclose(self) -> None:
        """Stop what is under way; what has no outcome yet is tried again when it is asked for."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
