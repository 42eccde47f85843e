"""What a server that tells people imports when it starts, and what takes it longest (see `tests.processes.nursery`)."""

from __future__ import annotations

import anyio._backends._asyncio  # noqa: F401
import asyncpg  # noqa: F401
import sqlalchemy.dialects.postgresql.asyncpg
import sqlalchemy.dialects.sqlite.aiosqlite  # noqa: F401
import uvicorn.protocols.websockets.auto  # noqa: F401
from apprise import Apprise

# It looks through all of its plugins the first time.
Apprise().add("json://localhost/")
