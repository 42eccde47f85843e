"""The person server as one app: what its parts share."""

from __future__ import annotations

from pathlib import Path

import pytest

from aauthlib.web.person import build_person_app

NOW = 1_800_000_000.0


@pytest.mark.spec("#freshness-and-replay")
async def test_processes_on_one_database_share_what_they_received(tmp_path: Path) -> None:
    url, issuer = f"sqlite:///{tmp_path / 'person.db'}", "http://person.localhost:8000"
    apps = [await build_person_app(url, issuer, dev=True, clock=lambda: NOW) for _ in range(2)]
    try:
        first, second = (app.server.replay for app in apps)
        assert await first.first_time("a request", until=NOW + 60, now=NOW)
        assert not await second.first_time("a request", until=NOW + 60, now=NOW)
    finally:
        for app in apps:
            await app.aclose()
