"""A resource in a process of its own: an API that knows nothing of AAuth, behind the middleware.

    python -m tests.processes.reports_api --issuer URL --port N --database URL --keys FILE [--access-server URL]

The keys in FILE are made on the first start; the first of them signs, all are published.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from aauthlib.cli.serving import Running, serve_one
from aauthlib.keys import SigningKey
from aauthlib.resource import Policy, Resource, Route, authorized, person
from aauthlib.store.database import Database
from aauthlib.store.resource import SQLResourceStore
from aauthlib.transport import AsyncWire
from aauthlib.web.resource import AAuthMiddleware


async def reports(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"the reports"})


def load_keys(path: Path) -> list[SigningKey]:
    if not path.exists():
        path.write_text(json.dumps([SigningKey.generate().to_private_jwk()]))
    return [SigningKey.from_jwk(jwk) for jwk in json.loads(path.read_text())]


async def serve(options: argparse.Namespace, keys: list[SigningKey]) -> None:
    database = await Database.open(options.database)
    wire = AsyncWire.open(dev=True)
    resource = Resource(
        issuer=options.issuer,
        wire=wire,
        store=SQLResourceStore(database, time.time),
        signing_key=keys[0],
        further_keys=[key.public for key in keys[1:]],
        dev=True,
        scopes={"reports.read": "Read reports."},
        access_server=options.access_server,
    )
    policy = Policy([Route("GET", "/me", person()), Route("GET", "/reports", authorized("reports.read"))])
    app = AAuthMiddleware(reports, resource, policy)
    try:
        await serve_one(
            Running(app, "127.0.0.1", options.port), lambda: print("Listening", file=sys.stderr, flush=True)
        )
    finally:
        await wire.aclose()
        await database.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--keys", required=True)
    parser.add_argument("--access-server")
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(options, load_keys(Path(options.keys))))


if __name__ == "__main__":
    main()
