"""Nobody is near: the person decides hours later, on another device, and the agent goes on by itself.

Real servers over HTTP, in a time that passes in long steps (`hours`); the person server on both databases.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from aauthlib.agent import AsyncAgent
from aauthlib.deferred.polling import NotInTime
from aauthlib.discovery import TransportError
from aauthlib.errors import Denied, Expired
from aauthlib.store.database import Database, schema
from aauthlib.tokens import AuthToken
from tests.agent.hours import ALICE, HOUR, STEP_S, Headless, open_headless

pytestmark = pytest.mark.asyncio(loop_scope="module")

DATABASES = ("sqlite", "postgresql")


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=DATABASES)
async def opened(request: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Headless]:
    folder: Path = tmp_path_factory.mktemp("headless")
    url = f"sqlite:///{folder / 'person.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("needs_postgres")
        database = await Database.open(url)
        async with database.transaction() as connection:
            for table in reversed(schema.sorted_tables):
                await connection.execute(table.delete())
        await database.close()
    async with open_headless(folder, url) as headless:
        yield headless


@pytest_asyncio.fixture(loop_scope="module")
async def headless(opened: Headless) -> Headless:
    await opened.decide(yes=False)
    opened.cut()
    opened.served.clear()
    opened.reports.clear()
    for host in opened.hosts.values():
        host.steps.clear()
    return opened


# --------------------------------------------------------------------------- hours


@pytest.mark.spec("#approval-pending", "#resource-token-structure", "#re-authorization", "#polling-error-codes")
@pytest.mark.parametrize("remember", [True, False], ids=["remembered", "for once"])
@pytest.mark.parametrize("where", ["notes", "guarded"], ids=["person server decides", "access server decides"])
async def test_a_yes_after_hours_is_applied_to_what_the_agent_asks_with_fresh_tokens(
    headless: Headless, where: str, remember: bool
) -> None:
    source = await headless.known()
    if where == "guarded":
        await headless.agent(source, on_interaction=headless.welcome).get(headless.url("/me", "guarded"))
    begun, before = headless.time.now, headless.asked("POST /auth-token")
    headless.decides(after=5 * HOUR, remember=remember)
    response = await headless.agent(source).get(headless.url(host=where))
    assert (response.status_code, response.text) == (200, "the notes")
    assert 5 * HOUR <= headless.time.now - begun <= 5 * HOUR + STEP_S
    assert headless.asked("POST /auth-token") - before == 2, "once before the decision and once after it"
    assert await headless.waiting() == 0, "Alice was asked once"


@pytest.mark.spec("#resource-token-structure", "#agent-person-binding")
async def test_a_yes_for_once_is_used_once(headless: Headless) -> None:
    source = await headless.known()
    headless.decides(after=3 * HOUR, remember=False)
    await headless.agent(source).get(headless.url())
    headless.decides(after=3 * HOUR, yes=False)
    with pytest.raises(Denied):
        await headless.agent(source).get(headless.url())
    assert len(headless.served) == 2, "the visit that made them acquainted, and one more"


@pytest.mark.spec("#polling-error-codes", "#approval-pending")
async def test_a_no_after_hours_ends_the_wait(headless: Headless) -> None:
    source = await headless.known()
    headless.decides(after=5 * HOUR, yes=False)
    with pytest.raises(Denied):
        await headless.agent(source).get(headless.url())
    assert headless.asked("POST /auth-token") == 1


@pytest.mark.spec("#approval-pending", "#cancel-request")
async def test_the_wait_ends_when_the_application_said_so_and_the_request_is_withdrawn(headless: Headless) -> None:
    source = await headless.known()
    begun = headless.time.now
    with pytest.raises(NotInTime):
        await headless.agent(source, wait_s=6 * HOUR).get(headless.url())
    assert headless.time.now - begun <= 6 * HOUR + STEP_S
    assert await headless.waiting() == 0


@pytest.mark.spec("#authorization-endpoint-request", "#resource-token-structure")
async def test_access_is_asked_for_ahead_and_had_hours_later(headless: Headless) -> None:
    source = await headless.known()
    headless.decides(after=5 * HOUR, remember=False)
    token = await headless.agent(source).authorize(headless.url(""), "notes.read notes.write")
    assert isinstance(token, AuthToken)
    assert token.scope == ("notes.read", "notes.write")
    assert token.exp > headless.time.now


@pytest.mark.spec("#deferred-auth-token", "#resource-token-structure")
async def test_an_invocation_that_was_held_is_made_again_when_it_was_not_carried_out(headless: Headless) -> None:
    source = await headless.known()
    headless.served.clear()
    headless.decides(after=5 * HOUR)
    response = await headless.agent(source).post(headless.url("/held"), content=b"Buy milk.")
    assert response.status_code == 200
    assert [(each["method"], each["body"]) for each in headless.served] == [("POST", b"Buy milk.")]


@pytest.mark.spec("#person-token-endpoint", "#approval-pending")
async def test_a_yes_to_acting_for_somebody_comes_hours_later_too(headless: Headless) -> None:
    source = await headless.known()
    headless.decides(after=5 * HOUR, remember=False)
    response = await headless.agent(source).get(headless.url("/me", "guarded"))
    assert response.status_code == 200
    assert headless.asked("POST /person-token") == 2


@pytest.mark.spec("#approval-pending", "#re-authorization")
async def test_an_agent_that_dates_its_own_tokens_waits_as_well(headless: Headless) -> None:
    source = await headless.known(enrolled=False)
    headless.decides(after=9 * HOUR, remember=False)
    assert (await headless.agent(source).get(headless.url())).status_code == 200


# --------------------------------------------------------------------------- what goes wrong meanwhile


@pytest.mark.spec("#deferred-responses", "#approval-pending")
async def test_a_person_server_that_is_away_for_an_hour_loses_nothing(headless: Headless) -> None:
    source = await headless.known()
    agent = headless.agent(source)

    async def away() -> None:
        headless.cut("person")

    async def back() -> None:
        headless.cut()
        await headless.hosts["person"].replace_process()

    headless.time.later(1 * HOUR, away)
    headless.time.later(2 * HOUR, back)
    headless.decides(after=5 * HOUR, remember=False)
    assert (await agent.get(headless.url())).status_code == 200
    assert headless.asked("POST /auth-token") == 2


@pytest.mark.spec("#deferred-responses")
async def test_a_person_server_that_never_comes_back_is_waited_for_as_long_as_the_application_said(
    headless: Headless,
) -> None:
    source = await headless.known()
    agent = headless.agent(source, wait_s=4 * HOUR)
    begun = headless.time.now

    async def away() -> None:
        headless.cut("person")

    headless.time.later(1 * HOUR, away)
    with pytest.raises(TransportError):
        await agent.get(headless.url())
    assert 3 * HOUR < headless.time.now - begun <= 4 * HOUR + STEP_S


@pytest.mark.spec("#deferred-responses", "#resource-token-structure")
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_person_server_that_is_replaced_around_the_decision_knows_of_it(headless: Headless, when: str) -> None:
    source = await headless.known()

    async def replaced() -> None:
        await headless.hosts["person"].replace_process()

    headless.time.later(5 * HOUR - (1 if when == "before" else -1), replaced)
    headless.decides(after=5 * HOUR, remember=False)
    assert (await headless.agent(source).get(headless.url(host="notes"))).status_code == 200
    assert await headless.waiting() == 0


@pytest.mark.spec("#token-revocation", "#agent-person-binding")
async def test_an_agent_that_was_disconnected_meanwhile_gets_nothing(headless: Headless) -> None:
    source = await headless.known()
    agent: AsyncAgent = headless.agent(source)
    token = await agent.agent_token()

    async def disconnect() -> None:
        await headless.server.disconnect(ALICE, (token.iss, token.sub))

    headless.time.later(3 * HOUR, disconnect)
    served = len(headless.served)
    with pytest.raises(Exception, match=r"disconnected|revoked|reach"):
        await agent.get(headless.url())
    assert len(headless.served) == served


@pytest.mark.spec("#polling-error-codes")
async def test_a_server_that_lets_everything_expire_at_once_is_not_asked_for_ever(headless: Headless) -> None:
    source = await headless.known()
    headless.server.approval_lifetime_s = 1
    try:
        with pytest.raises(Expired):
            await headless.agent(source, wait_s=2 * HOUR).get(headless.url())
    finally:
        headless.server.approval_lifetime_s = 86_400
    assert headless.asked("POST /auth-token") < 20
