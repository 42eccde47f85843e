"""Verification at a provider that accepts no tokens but its own (#agent-token-verification).

The flow of `verification.authenticate` asks for keys; here it is answered from the provider's own key set, so nothing
is ever fetched, least of all for a caller nobody knows yet.
"""

from __future__ import annotations

from typing import TypeVar

from ..discovery import StaticDirectory
from ..effects import Effect, FindKey, Flow
from ..errors import AAuthError, UnknownKey

__all__ = ["with_own_keys"]

_T = TypeVar("_T")


def with_own_keys(flow: Flow[_T], directory: StaticDirectory) -> _T:
    """Run a flow that asks for keys only, answered from `directory`."""
    answer: object = None
    failure: AAuthError | None = None
    try:
        while True:
            effect: Effect = flow.send(answer) if failure is None else flow.throw(failure)
            answer, failure = None, None
            if not isinstance(effect, FindKey):
                raise TypeError(f"Verification asks for keys only, not for {type(effect).__name__}.")
            try:
                answer = directory.cached(effect)
            except AAuthError as error:
                failure = UnknownKey("The agent token is not one of this agent provider's.")
                failure.__cause__ = error
    except StopIteration as end:
        result: _T = end.value
        return result
