"""Columns that are encrypted at rest where there is a key (`sealing`): their values are sealed on the way in and opened
on the way out, so that no store has to know.

Such a column cannot be compared or sorted by the database: saying so is an error, key or no key. Private keys and
secrets of the server are bound to their row too; the store that reads them by its key seals them (`BY_ROW`).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Dialect, LargeBinary, Text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql import operators
from sqlalchemy.types import TypeDecorator

from .sealing import Sealer

__all__ = ["BY_ROW", "Sealed", "SealedBytes", "sealer_of", "use_sealer"]

#: In the `info` of a column that its store seals, the name of the column that is the row's key.
BY_ROW = "sealed by row"
_ATTRIBUTE = "aauthlib_sealer"
_ALLOWED = (operators.is_, operators.is_not)
_NO_KEYS = Sealer()


def use_sealer(engine: AsyncEngine, sealer: Sealer) -> None:
    """Have the columns of this engine's database sealed by `sealer`."""
    setattr(engine.dialect, _ATTRIBUTE, sealer)


def sealer_of(dialect: Dialect) -> Sealer:
    """What seals the columns of an engine of this dialect."""
    found: Sealer = getattr(dialect, _ATTRIBUTE, _NO_KEYS)
    return found


class _Uncomparable(TypeDecorator.Comparator[Any]):
    def operate(self, op: Any, *other: Any, **options: Any) -> Any:
        if op not in _ALLOWED:
            raise TypeError(f"{self.expr} is encrypted at rest: the database cannot compare or sort by it.")
        return super().operate(op, *other, **options)


class Sealed(TypeDecorator[str]):
    """Text that is encrypted at rest. `place` is `table.column`."""

    impl = Text
    cache_ok = True
    comparator_factory = _Uncomparable

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else sealer_of(dialect).seal(value, *self.place.split("."))

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else sealer_of(dialect).open(value, *self.place.split("."))


class SealedBytes(TypeDecorator[bytes]):
    """Bytes that are encrypted at rest. `place` is `table.column`."""

    impl = LargeBinary
    cache_ok = True
    comparator_factory = _Uncomparable

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        return None if value is None else sealer_of(dialect).seal_bytes(value, *self.place.split("."))

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        return None if value is None else sealer_of(dialect).open_bytes(value, *self.place.split("."))
