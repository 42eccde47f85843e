"""The revisions of the database schema, oldest first: `versions/rNNNN_what.py`, each with a number of its own.

The newest is what `store.database.schema` says. What applies them is `store.upgrading`; how to add one stands in
CONTRIBUTING.md.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

__all__ = ["LOCATION", "VERSION_TABLE", "revisions"]

#: Where Alembic finds `env.py` and the revisions.
LOCATION = Path(__file__).parent

#: Of our own name: a resource may keep its records in the database of an application that uses Alembic too.
VERSION_TABLE = "aauth_schema_version"

_NAME = re.compile(r"r(\d{4})_\w+\.py")


@cache
def revisions() -> tuple[str, ...]:
    """The number of every revision, oldest first. Read from the names of the files, so that a start costs nothing."""
    names = (_NAME.fullmatch(path.name) for path in (LOCATION / "versions").iterdir())
    numbers = sorted(name[1] for name in names if name)
    if numbers != [f"{number:04}" for number in range(1, len(numbers) + 1)]:
        raise RuntimeError(f"The revisions in {LOCATION / 'versions'} are not numbered one after the other: {numbers}.")
    return tuple(numbers)
