"""Verifying a token this server issued itself, without asking the network for its own keys (#jwks-discovery)."""

from __future__ import annotations

from typing import Any, TypeVar

from ..effects import FindKey, Flow
from ..errors import AAuthError
from ..keys import JWKS

__all__ = ["with_own_keys"]

_T = TypeVar("_T")


def with_own_keys(flow: Flow[_T], *, issuer: str, dwk: str, keys: JWKS) -> Flow[_T]:
    """`flow`, with every `FindKey` for `issuer` through `dwk` answered from `keys`; all else is passed on."""
    answer: Any = None
    failure: AAuthError | None = None
    try:
        while True:
            try:
                effect = flow.send(answer) if failure is None else flow.throw(failure)
            except StopIteration as end:
                result: _T = end.value
                return result
            answer, failure = None, None
            try:
                if isinstance(effect, FindKey) and effect.issuer == issuer and effect.dwk == dwk:
                    answer = keys.find(effect.kid)
                else:
                    answer = yield effect
            except AAuthError as error:
                failure = error
    finally:
        flow.close()
