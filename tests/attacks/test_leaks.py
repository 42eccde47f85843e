"""Promise 2, seen from where tokens leak: no database and no log holds what would open a door."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from aauthlib.messages.codes import normalize_code

from .world import (
    CALENDAR,
    MAIL,
    PASSWORD,
    PS,
    City,
    error_code,
    presented,
    requirement,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Secrets:
    """Everything that must not be found, by what it is."""

    found: dict[str, str]

    def leaked_in(self, text: str) -> list[str]:
        return sorted(name for name, secret in self.found.items() if secret in text)


async def _whole_flow(city: City) -> Secrets:
    """Climb the ladder, have an invocation held, get a session, be denied, and collect every secret on the way."""
    start, codes = len(city.network.carried), len(city.codes)
    agent = await city.whole_agent()
    for path in ("/holidays", "/hello", "/agent", "/me", "/events", "/managed", "/managed"):
        assert (await agent.get(CALENDAR + path)).status_code == 200, path
    for path in ("/events", "/invitations"):
        answer = await agent.post(CALENDAR + path, json={"date": "2026-12-01", "title": "Tea"})
        assert answer.status_code == 201
    found: dict[str, str] = {"password": PASSWORD}
    for number, (request, response) in enumerate(city.network.carried[start:]):
        text = presented(request) or ""
        header = request.headers.get("signature-key") or ""
        delegation = header.partition('=jkt-jwt;jwt="')[2].partition('"')[0]
        for name, token in (("token", text), ("delegation", delegation)):
            if token:
                found[f"{name} {number}"] = token
                found[f"{name} {number}, signature"] = token.rpartition(".")[2]
        asked = response.headers.get("aauth-requirement")
        token = requirement(response).resource_token if asked and response.status in (401, 202) else None
        if token:
            found[f"resource token {number}"] = token
            found[f"resource token {number}, signature"] = token.rpartition(".")[2]
        location = response.headers.get("location") or ""
        if response.status == 202:
            found[f"pending id {number}"] = location.rpartition("/")[2]
        session = response.headers.get("aauth-access")
        if session:
            found[f"session token {number}"] = session
        if request.headers.get("signature"):
            found[f"request signature {number}"] = (request.headers.get("signature") or "").partition("=")[2]
        for member in ("person_token", "auth_token", "agent_token", "resource_token"):
            if response.body.startswith(b"{") and isinstance(response.json().get(member), str):
                found[f"{member} {number}"] = response.json()[member]
    for number, code in enumerate(city.codes[codes:]):
        found[f"code {number}"] = code
        found[f"normalised code {number}"] = normalize_code(code)
    for cookie in city.ada._client.cookies.jar:
        if cookie.value:
            found[f"cookie {cookie.name}"] = cookie.value
    kinds = {name.partition(" ")[0] for name in found}
    assert kinds >= {"token", "resource", "pending", "session", "code", "cookie", "delegation"}, kinds
    return Secrets(found)


@pytest.mark.spec("#pending-url-security", "#interaction-code-format")
async def test_a_dump_of_every_database_holds_no_token_code_pending_id_or_session(city: City) -> None:
    secrets = await _whole_flow(city)
    files = sorted(city.folder.glob("*.db*"))
    assert len(files) >= 5
    for file in files:
        content = file.read_bytes().decode("latin-1")
        assert secrets.leaked_in(content) == [], file.name
    # What a dump does hold is not something else that opens a door: digests are no ids.
    dump = "".join(file.read_bytes().decode("latin-1") for file in files)
    digests = set(re.findall(r"[0-9a-f]{64}", dump))
    assert digests
    agent = await city.newcomer()
    for digest in sorted(digests)[:20]:
        assert (await agent.call("GET", f"{PS}/pending/{digest}")).status == 404
        assert (await agent.call("GET", f"{CALENDAR}/aauth/pending/{digest}")).status == 404
        thief = city.browser()
        thief._client.cookies.set("__Host-aauth-person", digest, domain="person.example")
        await thief.visit(f"{PS}/security")
        assert thief.form_with("username", "password")


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What this library logs at its most talkative. What a database driver says at DEBUG is not its doing."""
    with caplog.at_level(logging.DEBUG, logger="aauthlib"):
        yield caplog


async def test_no_log_line_holds_a_token_key_code_password_or_pending_id(
    city: City, everything_logged: pytest.LogCaptureFixture
) -> None:
    secrets = await _whole_flow(city)
    # An error of the server's own is logged, with the kind of the error and nothing of the request.
    store, original = city.person_app.server.store, city.person_app.server.store.get_pending
    agent = await city.newcomer()
    pending = await agent.ask_person_token(MAIL)
    secret_id = (pending.headers.get("location") or "").rpartition("/")[2]

    async def broken(digest: str) -> Any:
        raise RuntimeError(f"disk on fire while reading {secret_id} of {agent.token}")

    store.get_pending = broken  # type: ignore[method-assign]
    try:
        answer = await agent.poll(pending)
    finally:
        store.get_pending = original  # type: ignore[method-assign]
    assert (answer.status, error_code(answer)) == (500, "server_error")
    assert secret_id.encode() not in answer.body
    records = [record for record in everything_logged.records if record.name.startswith("aauthlib")]
    log = "\n".join(logging.Formatter().format(record) + repr(record.args) for record in records)
    assert "RuntimeError" in log
    secrets.found |= {"the failing pending id": secret_id, "the failing token": agent.token}
    assert secrets.leaked_in(log) == []
