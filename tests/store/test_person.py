"""What a person server keeps, on every engine (#agent-person-binding, #token-revocation)."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from typing import Any

import pytest

from aauthlib.deferred.machine import Event, State
from aauthlib.deferred.pending import Pending
from aauthlib.deferred.revoking import Notice
from aauthlib.deferred.revoking import Revoked as Told
from aauthlib.errors import Expired, InvalidCode, NotFound, Revoked
from aauthlib.messages.codes import code_digest
from aauthlib.store.database import Database
from aauthlib.store.person import SQLPersonStore
from aauthlib.store.person_audit import AuditSearch
from aauthlib.store.person_records import (
    NAMING,
    AgentId,
    AgentOfAnotherPerson,
    AuditRecord,
    Consent,
    Decision,
    IssuedToken,
    NotWaiting,
)

NOW = 1_800_000_000.0
AP, CALENDAR = "https://ap.example", "https://calendar.example"
AGENT: AgentId = (AP, "aauth:helper@ap.example")
CODE = code_digest("A1B2-C3D4")


def pending(agent: AgentId = AGENT, **request: Any) -> Pending:
    return Pending(
        digest=secrets.token_hex(32),
        owner=" ".join(agent),
        kind="person_token",
        state=State.PENDING,
        created_at=NOW,
        expires_at=NOW + 900,
        requirement="interaction",
        handle=secrets.token_hex(4),
        code_digest=CODE,
        request={"agent": {"iss": agent[0], "sub": agent[1], "jti": "t1"}, "resource": CALENDAR, **request},
    )


def decision(person_id: str = "alice", agent: AgentId = AGENT, **changes: Any) -> Decision:
    values: dict[str, Any] = {"resource": CALENDAR, "scopes": [NAMING], **changes}
    return Decision(person_id=person_id, agent=agent, **values)


def token(jti: str = "p1", **changes: Any) -> IssuedToken:
    values: dict[str, Any] = {
        "kind": "person_token",
        "aud": CALENDAR,
        "exp": NOW + 3600,
        "agent": AGENT,
        "person_id": "alice",
        "sub": "sub-1",
        "issued_at": NOW,
    }
    return IssuedToken(jti=jti, **{**values, **changes})


def told(jti: str, outcome: str, tries: int = 0) -> tuple[Notice, Told]:
    return Notice(jti=jti, exp=NOW + 3600, recipient=CALENDAR, tries=tries), Told(outcome)


async def arrived(store: SQLPersonStore, person_id: str = "alice", **changes: Any) -> str:
    request = pending(**changes)
    await store.create_pending(request)
    assert request.handle is not None
    await store.arrive(request.handle, CODE, person_id=person_id, callback=None, now=NOW, max_attempts=5)
    return request.digest


async def connected(store: SQLPersonStore, person_id: str = "alice", agent: AgentId = AGENT) -> None:
    digest = await arrived(store, person_id, agent=agent)
    await store.grant(digest, decision(person_id, agent), now=NOW)


class Contract:
    """What every engine must do."""

    @pytest.fixture
    def store(self, database: Database) -> SQLPersonStore:
        return SQLPersonStore(database)

    async def test_the_first_key_of_identifiers_is_kept_however_many_start_at_once(self, store: SQLPersonStore) -> None:
        offers = [secrets.token_bytes(32) for _ in range(4)]
        first = await store.directed_key(first=offers[0])
        assert first == offers[0]
        assert await asyncio.gather(*(store.directed_key(first=offer) for offer in offers)) == [first] * 4

    @pytest.mark.spec("#agent-person-binding")
    async def test_of_many_people_at_once_one_gets_the_agent(self, store: SQLPersonStore) -> None:
        people = [f"person-{number}" for number in range(5)]
        digests = [await arrived(store, person) for person in people]
        results = await asyncio.gather(
            *(store.grant(digest, decision(person), now=NOW) for digest, person in zip(digests, people, strict=True)),
            return_exceptions=True,
        )
        winners = [person for person, result in zip(people, results, strict=True) if not isinstance(result, Exception)]
        assert len(winners) == 1
        assert {type(result) for result in results if isinstance(result, Exception)} == {AgentOfAnotherPerson}
        standing = await store.standing(AGENT, resource=CALENDAR)
        assert standing.binding is not None
        assert standing.binding.person_id == winners[0]
        for person in people:
            assert len(await store.consents_of(person)) == (1 if person in winners else 0)

    async def test_a_refused_decision_leaves_no_trace(self, store: SQLPersonStore) -> None:
        await connected(store, "alice")
        request = pending()
        await store.create_pending(request)
        with pytest.raises(NotFound):
            await store.grant(request.digest, decision("bob"), now=NOW)
        with pytest.raises(NotFound):
            await store.refuse(request.digest, person_id="bob", event=Event.DENY, detail="", now=NOW)
        after = await store.get_pending(request.digest)
        assert after == request
        assert await store.history("bob", limit=10) == []

    @pytest.mark.spec("#agent-person-binding")
    async def test_many_equal_decisions_at_once_are_one(self, store: SQLPersonStore) -> None:
        digest = await arrived(store)
        results = await asyncio.gather(*(store.grant(digest, decision(), now=NOW) for _ in range(5)))
        assert {result.pending.state for result in results} == {State.GRANTED}
        actions = [record.action for record in await store.history("alice", limit=50)]
        assert sorted(actions) == ["approve person_token", "connect agent"]

    async def test_yes_and_no_at_once_have_one_winner(self, store: SQLPersonStore) -> None:
        digest = await arrived(store)
        results = await asyncio.gather(
            store.grant(digest, decision(), now=NOW),
            store.refuse(digest, person_id="alice", event=Event.DENY, detail="no", now=NOW),
            return_exceptions=True,
        )
        assert sum(isinstance(result, NotWaiting) for result in results) == 1
        records = await store.history("alice", limit=50)
        assert len([record for record in records if record.action != "connect agent"]) == 1

    async def test_a_decision_after_its_time_is_expired_and_binds_nothing(self, store: SQLPersonStore) -> None:
        digest = await arrived(store)
        with pytest.raises(Expired):
            await store.grant(digest, decision(), now=NOW + 900)
        with pytest.raises(Expired):
            await store.refuse(digest, person_id="alice", event=Event.DENY, detail="", now=NOW + 900)
        assert (await store.standing(AGENT, resource=CALENDAR)).binding is None
        after = await store.get_pending(digest)
        assert after is not None
        assert after.state is State.EXPIRED

    @pytest.mark.spec("#interaction-code-format")
    async def test_of_many_arrivals_at_once_one_consumes_the_code(self, store: SQLPersonStore) -> None:
        request = pending()
        await store.create_pending(request)
        handle = request.handle or ""
        results = await asyncio.gather(
            *(
                store.arrive(handle, CODE, person_id=f"person-{n}", callback=None, now=NOW, max_attempts=5)
                for n in range(5)
            ),
            return_exceptions=True,
        )
        assert sum(isinstance(result, InvalidCode) for result in results) == 4

    @pytest.mark.spec("#account-binding")
    async def test_consents_are_by_resource_account_and_scope(self, store: SQLPersonStore) -> None:
        await connected(store)
        for account, scopes in ((None, ["read"]), ("work", ["read", "write"])):
            digest = await arrived(store)
            await store.grant(digest, decision(scopes=scopes, account=account), now=NOW)
        assert (await store.standing(AGENT, resource=CALENDAR)).consents == {NAMING, "read"}
        assert (await store.standing(AGENT, resource=CALENDAR, account="work")).consents == {NAMING, "read", "write"}
        assert (await store.standing(AGENT, resource=CALENDAR, account="home")).consents == {NAMING}
        assert (await store.standing(AGENT, resource="https://mail.example")).consents == set()
        assert (await store.standing((AP, "aauth:other@ap.example"), resource=CALENDAR)).binding is None
        work = Consent(agent=AGENT, person_id="alice", resource=CALENDAR, scope="read", account="work", granted_at=NOW)
        await store.forget("alice", work, now=NOW)
        assert (await store.standing(AGENT, resource=CALENDAR, account="work")).consents == {NAMING, "write"}
        assert (await store.standing(AGENT, resource=CALENDAR)).consents == {NAMING, "read"}

    async def test_values_of_any_length_that_others_choose_are_kept(self, store: SQLPersonStore) -> None:
        """A bound of the database's indexes must not be something another party can run into."""
        long = secrets.token_hex(2000)
        await connected(store)
        digest = await arrived(store, resource_jti=long)
        await store.grant(digest, decision(scopes=[long], account=long), now=NOW)
        assert long in (await store.standing(AGENT, resource=CALENDAR, account=long)).consents
        assert await store.accept_agent_token(iss=AP, jti=long, sub=AGENT[1], exp=NOW + 60)
        await store.revoke_resource_token(iss=CALENDAR, jti=long, exp=NOW + 60, now=NOW)
        assert await store.is_revoked(CALENDAR, long)
        assert not await store.accept_agent_token(iss=CALENDAR, jti=long, sub="x", exp=NOW + 60)

    @pytest.mark.spec("#person-token-endpoint", "#directed-identifiers")
    async def test_an_issued_token_is_recorded_with_whom_it_stands_for(self, store: SQLPersonStore) -> None:
        await connected(store)
        issued = token(scope="a b", subagent="aauth:helper+x@ap.example", presented_jti="p0", exp=NOW + 60)
        assert await store.record_issued(issued)
        assert await store.record_issued(token("p2"))
        assert await store.issued("p1") == issued
        assert await store.issued("p3") is None
        assert await store.person_of(resource=CALENDAR, sub="sub-1") == "alice"
        assert await store.person_of(resource="https://mail.example", sub="sub-1") is None

    @pytest.mark.spec("#agent-person-binding")
    async def test_nothing_is_issued_for_an_agent_that_is_not_this_persons(self, store: SQLPersonStore) -> None:
        assert not await store.record_issued(token())
        await connected(store, "bob")
        assert not await store.record_issued(token())
        assert await store.issued("p1") is None
        digest = await arrived(store, "bob")
        await store.grant(digest, decision("bob"), now=NOW)
        with pytest.raises(Revoked):
            await store.advance_pending(digest, Event.DELIVER, record=token())
        after = await store.get_pending(digest)
        assert after is not None
        assert after.state is State.GRANTED

    @pytest.mark.spec("#revocation-cascade")
    async def test_nothing_is_issued_on_a_token_that_was_revoked_meanwhile(self, store: SQLPersonStore) -> None:
        await connected(store)
        await store.revoke_resource_token(iss=CALENDAR, jti="r1", exp=NOW + 60, now=NOW)
        assert not await store.record_issued(token(), hangs_on=[(AP, "t1"), (CALENDAR, "r1")])
        assert await store.issued("p1") is None
        assert await store.record_issued(token(), hangs_on=[(AP, "t1"), (AP, "r1")])

    @pytest.mark.spec("#revocation-cascade")
    async def test_issuing_and_withdrawing_at_once_leave_no_token_untold(self, store: SQLPersonStore) -> None:
        await connected(store)
        await store.accept_agent_token(iss=AP, jti="t1", sub=AGENT[1], exp=NOW + 3600)
        digests = [await arrived(store) for _ in range(6)]
        for digest in digests:
            await store.grant(digest, decision(), now=NOW)

        async def deliver(digest: str, number: int) -> None:
            await store.advance_pending(digest, Event.DELIVER, record=token(f"p{number}"))

        results = await asyncio.gather(
            *(deliver(digest, number) for number, digest in enumerate(digests)),
            store.revoke_agent_token(iss=AP, jti="t1", exp=NOW + 3600, now=NOW),
            return_exceptions=True,
        )
        due = results[-1]
        assert isinstance(due, list)
        told = {issued.jti for issued in due}
        for number, result in enumerate(results[:-1]):
            delivered = not isinstance(result, BaseException)
            assert delivered == (f"p{number}" in told)

    @pytest.mark.spec("#revocation-cascade", "#revocation-response")
    async def test_a_cascade_covers_the_agent_its_sub_agents_and_nobody_else(self, store: SQLPersonStore) -> None:
        other: AgentId = (AP, "aauth:other@ap.example")
        child = "aauth:helper+child@ap.example"
        await connected(store)
        await connected(store, agent=other)
        await store.record_issued(token("own"))
        await store.record_issued(token("childs", subagent=child))
        await store.record_issued(token("others", agent=other))
        await store.record_issued(token("expired", exp=NOW - 1))
        twin: AgentId = ("https://other-ap.example", AGENT[1])
        await connected(store, agent=twin)
        await store.record_issued(token("twins", agent=twin))
        for jti, sub, parent in (("parent", AGENT[1], None), ("child", child, AGENT[1])):
            await store.accept_agent_token(iss=AP, jti=jti, sub=sub, exp=NOW + 60, parent=parent)

        async def revoke(jti: str) -> list[str]:
            due = await store.revoke_agent_token(iss=AP, jti=jti, exp=NOW + 60, now=NOW)
            return sorted(issued.jti for issued in due)

        assert await revoke("child") == ["childs"]
        await store.record_revocation_outcomes([told("childs", "recorded")], now=NOW)
        assert await revoke("child") == []
        assert await revoke("parent") == ["own"]
        await store.record_revocation_outcomes([told("own", "revocation_unavailable")], now=NOW)
        assert await revoke("parent") == ["own"], "what failed is due again"
        assert await store.revocations_held(AP) == 2
        assert await revoke("never seen") == []

    @pytest.mark.spec("#revocation-response")
    async def test_who_was_not_told_is_kept_until_it_knows_or_the_token_expires(self, store: SQLPersonStore) -> None:
        await connected(store)
        await store.record_issued(token("p1"))
        await store.record_issued(token("p2", exp=NOW + 7200))
        await store.record_presentation("p1", access_server="https://as.example", agent=AGENT, exp=NOW + 3600)
        await store.disconnect("alice", AGENT, now=NOW)
        assert await store.claim_notices(now=NOW, until=NOW + 1) == [], "whoever revoked is telling just now"
        assert await store.untold_of("alice", now=NOW) == []
        # A crash before anybody was told: what was written with the revocation is taken up by another process, once.
        found = await store.claim_notices(now=NOW + 61, until=NOW + 180)
        assert sorted((notice.jti, notice.recipient, notice.to_access_server) for notice in found) == [
            ("p1", "https://as.example", True),
            ("p1", CALENDAR, False),
            ("p2", CALENDAR, False),
        ]
        assert await store.claim_notices(now=NOW + 61, until=NOW + 180) == []
        partly = Told("recorded", (("https://inner.example", "revocation_unavailable"),))
        ends = {("p1", True): partly, ("p1", False): Told("recorded"), ("p2", False): Told("revocation_unavailable")}
        await store.record_revocation_outcomes(
            [(notice, ends[notice.jti, notice.to_access_server]) for notice in found], now=NOW + 61
        )
        untold = await store.untold_of("alice", now=NOW + 61)
        assert [(each.recipient, each.agent, each.tokens) for each in untold] == [
            ("https://as.example", AGENT, 1),
            (CALENDAR, AGENT, 1),
        ]
        assert await store.untold_of("bob", now=NOW + 61) == []
        assert await store.claim_notices(now=NOW + 90, until=NOW + 200) == [], "not before a pause"
        again = await store.claim_notices(now=NOW + 91, until=NOW + 200)
        assert sorted((notice.recipient, notice.tries) for notice in again) == [
            ("https://as.example", 1),
            (CALENDAR, 1),
        ]
        await store.record_revocation_outcomes([(notice, Told("recorded")) for notice in again], now=NOW + 91)
        assert await store.claim_notices(now=NOW + 3000, until=NOW + 3100) == []
        assert await store.untold_of("alice", now=NOW + 91) == []

    @pytest.mark.spec("#revocation-response")
    async def test_pauses_grow_and_a_notice_ends_with_its_token(self, store: SQLPersonStore) -> None:
        await connected(store)
        await store.record_issued(token("p1"))
        await store.disconnect("alice", AGENT, now=NOW)
        now, pauses = NOW + 60, []
        for _ in range(6):
            (notice,) = await store.claim_notices(now=now, until=now + 100)
            await store.record_revocation_outcomes([(notice, Told("revocation_unavailable"))], now=now)
            before = now
            while not await store.claim_notices(now=now, until=now):
                now += 30
            pauses.append(now - before)
        assert pauses == [30, 60, 120, 240, 480, 600]
        assert await store.claim_notices(now=NOW + 3600, until=NOW + 4000) == []
        await store.purge(now=NOW + 3601)
        assert await store.untold_of("alice", now=NOW) == []

    async def test_a_disconnected_agent_takes_its_requests_and_consents_along(self, store: SQLPersonStore) -> None:
        await connected(store)
        await store.record_issued(token())
        waiting, granted = await arrived(store), await arrived(store)
        await store.grant(granted, decision(), now=NOW)
        with pytest.raises(NotFound):
            await store.disconnect("bob", AGENT, now=NOW)
        (due,) = await store.disconnect("alice", AGENT, now=NOW)
        assert (due.jti, due.revoked_at) == ("p1", NOW)
        for digest in (waiting, granted):
            after = await store.get_pending(digest)
            assert after is not None
            assert after.state is State.REVOKED
        assert await store.bindings_of("alice") == await store.consents_of("alice") == []

    async def test_requests_are_listed_and_counted_while_they_wait(self, store: SQLPersonStore) -> None:
        other: AgentId = (AP, "aauth:other@ap.example")
        await connected(store)
        for agent in (AGENT, AGENT, other):
            await store.create_pending(pending(agent))
        # One more of the agent was granted and not fetched yet.
        assert await store.open_requests(AGENT, now=NOW) == (3, 4)
        assert await store.open_requests(AGENT, now=NOW, acting_for="alice") == (0, 4)
        assert await store.open_requests(AGENT, now=NOW + 900) == (0, 0)
        assert len(await store.requests_for("alice", now=NOW)) == 2
        assert len(await store.requests_for("alice", now=NOW, limit=1)) == 1
        assert await store.requests_for("bob", now=NOW) == []
        assert await store.requests_for("alice", now=NOW + 900) == []

    @pytest.mark.spec("#agent-person-binding", "#ps-approval-endpoint-auth")
    async def test_a_request_somebody_arrived_for_is_not_another_persons_to_see(self, store: SQLPersonStore) -> None:
        """Not even when the agent has become theirs in between."""
        alices = await arrived(store, "alice")
        await connected(store, "bob")
        assert await store.requests_for("bob", now=NOW) == []
        with pytest.raises(NotFound):
            await store.request_for(alices, person_id="bob", now=NOW)
        with pytest.raises(AgentOfAnotherPerson):
            await store.grant(alices, decision("alice"), now=NOW)

    async def test_a_request_is_found_by_its_resource_flow(self, store: SQLPersonStore) -> None:
        digest = await arrived(store, interaction={"url": "u", "code": "c", "flow": "flow-1"})
        found = await store.request_of_flow("flow-1", person_id="alice", now=NOW)
        assert (found.pending.digest, found.resource_done) == (digest, False)
        await store.resource_done(digest)
        assert (await store.request_of_flow("flow-1", person_id="alice", now=NOW)).resource_done
        for flow, person in (("flow-1", "bob"), ("flow-2", "alice")):
            with pytest.raises(NotFound):
                await store.request_of_flow(flow, person_id=person, now=NOW)

    async def test_what_has_served_its_time_is_dropped_and_nothing_else(self, store: SQLPersonStore) -> None:
        await connected(store)
        old = await arrived(store)
        await store.create_pending(replace(pending(), digest="f" * 64, expires_at=NOW + 90_000))
        await store.record_issued(token("old"))
        await store.record_issued(token("new", exp=NOW + 90_000))
        await store.accept_agent_token(iss=AP, jti="seen", sub=AGENT[1], exp=NOW + 60)
        await store.revoke_resource_token(iss=CALENDAR, jti="gone", exp=NOW + 60, now=NOW)
        assert await store.purge(now=NOW) == 0
        assert await store.purge(now=NOW + 8000, limit=1) >= 1
        while await store.purge(now=NOW + 8000):
            pass
        assert await store.get_pending(old) is None
        assert await store.get_pending("f" * 64) is not None
        assert await store.issued("old") is None
        assert await store.issued("new") is not None
        assert not await store.is_revoked(CALENDAR, "gone")
        assert len(await store.bindings_of("alice")) == 1
        assert await store.person_of(resource=CALENDAR, sub="sub-1") == "alice", "identifiers are for good"

    async def test_a_profile_and_a_history_belong_to_one_person(self, store: SQLPersonStore) -> None:
        await store.set_profile("alice", {"name": "Älice", "address": {"formatted": "x"}})
        await store.set_profile("alice", {"name": "Alice"})
        assert await store.profile("alice") == {"name": "Alice"}
        assert await store.profile("bob") == {}
        await connected(store)
        (newest, oldest) = await store.history("alice", limit=10)
        assert (oldest.action, newest.action) == ("connect agent", "approve person_token")
        assert len(await store.history("alice", limit=1)) == 1

    async def test_the_log_is_searched_page_by_page_and_only_the_persons_own(self, store: SQLPersonStore) -> None:
        other: AgentId = (AP, "aauth:other_one@ap.example")
        for number in range(5):
            details = {"scope": f"read {number}", "said": ["Ünder", {"deep": number}]}
            for person, agent in (("alice", AGENT), ("mallory", other)):
                await store.note(
                    AuditRecord(
                        at=NOW + number,
                        person_id=person,
                        action="connect agent",
                        agent=agent,
                        resource=CALENDAR,
                        result="granted",
                        details=details,
                    )
                )

        async def found(**sought: Any) -> list[float]:
            page = await store.search_history("alice", AuditSearch(**sought))
            assert all(entry.person_id == "alice" for entry in page.entries)
            return [entry.at - NOW for entry in page.entries]

        assert await found() == [4, 3, 2, 1, 0]
        assert await found(agent="HELPER") == [4, 3, 2, 1, 0]
        assert await found(agent="other_one") == await found(agent="%") == await found(agent="h_lper") == []
        assert await found(resource="calendar", since=NOW + 1, until=NOW + 3) == [2, 1]
        assert await found(words="granted ÜNDER 3") == [3]
        assert await found(action="mission") == await found(words="mallory") == []
        first = await store.search_history("alice", AuditSearch(), limit=3)
        rest = await store.search_history("alice", AuditSearch(), before=first.before, limit=3)
        assert [entry.at - NOW for entry in (*first.entries, *rest.entries)] == [4, 3, 2, 1, 0]
        assert rest.before is None


class TestOnSQLite(Contract):
    @pytest.fixture
    def database(self, sqlite: Database) -> Database:
        return sqlite


class TestOnPostgreSQL(Contract):
    @pytest.fixture
    def database(self, postgresql: Database) -> Database:
        return postgresql
