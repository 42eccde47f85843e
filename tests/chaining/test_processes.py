"""Several processes of one intermediary over one database, and one of them that is gone (#deferred-responses)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from aauthlib import errors
from aauthlib.chaining import Intermediary
from aauthlib.chaining.ledger import ALIVE_S
from aauthlib.demo.parties import loopback_client
from aauthlib.http import Fields, Request, Response
from aauthlib.keys import SigningKey
from aauthlib.store.database import Database
from aauthlib.store.resource import SQLResourceStore

from .parties import Clock, Parties, open_parties
from .test_attacks import sent, signed
from .test_clarification import WHICH, asks
from .test_nested import opened_at

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.spec("#interaction-chaining", "#deferred-responses"),
]


class Offset:
    """The clock of a process that looks a while later."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.later_s = clock, 0.0

    def __call__(self) -> float:
        return self.clock() + self.later_s


class Processes:
    """The parties, and another process of A that shares its database and none of its memory."""

    def __init__(self, parties: Parties, other: Intermediary, clock: Offset) -> None:
        self.parties, self.other, self.clock = parties, other, clock

    async def poll(self, location: str, *, method: str = "GET") -> Response:
        """The other process's answer to the caller."""
        own = await self.parties.agent.person_token(self.parties.url["a"])
        request = signed(self.parties, Request(method, location, Fields({"prefer": "wait=2"})), own)
        caller = await self.other.verify(request)
        return await self.other.invocations.polls.poll(request, caller, location.rpartition("/")[2])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Database]:
    database = await Database.open(f"sqlite:///{tmp_path_factory.mktemp('processes') / 'services.db'}")
    yield database
    await database.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened_processes(tmp_path_factory: pytest.TempPathFactory, database: Database) -> AsyncIterator[Parties]:
    folder: Path = tmp_path_factory.mktemp("parties")
    async with open_parties(folder, store=lambda _, clock: SQLResourceStore(database, clock)) as parties:
        yield parties


@pytest_asyncio.fixture(loop_scope="module")
async def processes(opened_processes: Parties, database: Database) -> AsyncIterator[Processes]:
    parties = opened_processes
    await parties.begin()
    clock = Offset(parties.clock)
    other = Intermediary(
        issuer=parties.url["a"],
        wire=parties.wire,
        store=SQLResourceStore(database, clock),
        signing_key=SigningKey.generate(),
        clock=clock,
        dev=True,
        scopes={"read": "Read."},
    )
    yield Processes(parties, other, clock)
    await parties.end()


async def test_any_process_answers_the_caller_and_shows_the_code_until_it_is_used(processes: Processes) -> None:
    location, url, code = await opened_at(processes.parties, "a")
    waiting = await processes.poll(location)
    assert waiting.status == 202
    header = waiting.headers.get("aauth-requirement") or ""
    assert url in header and code in header
    onward = await processes.other.invocations.visits.arrive(url.rpartition("/")[2], code)
    assert onward.url is not None and onward.url.startswith(processes.parties.url["person"])
    later = await processes.poll(location)
    assert "aauth-requirement" not in later.headers
    assert later.json()["status"] == "interacting"


async def test_a_result_is_fetched_from_any_process(processes: Processes) -> None:
    parties = processes.parties
    location, url, code = await opened_at(parties, "a")
    await parties.visit(f"{url}?code={code}", "approve")
    for _ in range(20):
        answer = await processes.poll(location)
        if answer.status != 202:
            break
    assert answer.status == 200
    assert len(answer.json()) == 2, "both hops"


@pytest.mark.spec("#polling-error-codes")
async def test_what_a_lost_process_did_not_finish_is_told_as_such_and_not_waited_for(processes: Processes) -> None:
    parties = processes.parties
    location, url, code = await opened_at(parties, "a")
    async with loopback_client() as browser:
        back = (await browser.get(url, params={"code": code})).headers["location"].partition("callback=")[2]
    # As long as the process says that it lives, the caller waits.
    processes.clock.later_s = ALIVE_S - 5
    assert (await processes.poll(location)).status == 202
    processes.clock.later_s = ALIVE_S + 5
    name, nonce, step = back.rpartition("%2F")[2].split(".")
    onward = await processes.other.invocations.visits.come_back(name, nonce, int(step), wait_s=0.0)
    assert (str(onward.state), onward.url) == ("failed", None)
    with pytest.raises(errors.ServerError, match="may have done a part of it"):
        await processes.poll(location)
    with pytest.raises(errors.Gone):
        await processes.poll(location)
    await parties.until(lambda: not len(parties.services["a"].invocations))


async def test_what_is_lost_counts_for_no_bound(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    parties = processes.parties
    for service in (parties.services["a"], processes.other):
        monkeypatch.setattr(service.invocations, "policy", type(service.chain)(most_waiting=1, poll_wait_s=5))
    location, _, _ = await opened_at(parties, "a")
    own = await parties.agent.person_token(parties.url["a"])
    request = Request("GET", f"{parties.url['a']}/me?to=b", Fields({"aauth-capabilities": "interaction"}))
    refused = await sent(parties, signed(parties, request, own))
    assert (refused.status, refused.json()["error"]) == (429, "rate_limited")
    header = (await processes.poll(location)).headers.get("aauth-requirement") or ""
    pending = await processes.other.store.get_interaction(header.partition("/onward/")[2].partition('"')[0])
    assert pending is not None
    await processes.other.store.beat_invocations([pending.digest], parties.clock() - 1)  # type: ignore[attr-defined]
    again = await sent(parties, signed(parties, Request("GET", f"{request.url}&again=1", request.headers), own))
    assert again.status == 202


@pytest.mark.spec("#requirement-clarification")
async def test_a_question_is_answered_through_any_process(processes: Processes) -> None:
    parties = processes.parties
    answered: list[int] = []

    async def reply(_: object) -> str:
        asked = [r for q, r in parties.carried if q.origin == parties.url["a"] and b'"clarification"' in r.body]
        location = asked[-1].headers.get("location") or ""
        own, token = parties.agent.context.credentials.own, parties.agent.context.credentials.at(parties.url["a"])
        assert own is not None and token.auth_token is not None
        body = b'{"action":"clarification_response","clarification_response":"Apollo"}'
        headers = Fields({"content-type": "application/json"})
        request = signed(parties, Request("POST", location, headers, body), token.auth_token)
        caller = await processes.other.verify(request)
        response = await processes.other.invocations.polls.answer(request, caller, location.rpartition("/")[2])
        answered.append(response.status)
        await parties.until(lambda: bool(told_access_server()))
        return "too late"

    def told_access_server() -> list[Request]:
        return [q for q, _ in parties.carried if b"Apollo" in q.body and q.origin == parties.url["access"]]

    parties.policy = asks(WHICH)
    parties.agent = await parties.newcomer(on_clarification=reply)
    # The agent's own answer then meets a question that is not open any more.
    with pytest.raises(errors.InvalidRequest):
        await parties.agent.get(f"{parties.url['a']}/read", params={"to": "guarded"})
    assert answered == [202]
    assert told_access_server()
