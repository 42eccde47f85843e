"""What an agent provider keeps, on every engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import delete

from aauthlib.errors import InvalidJWT
from aauthlib.provider import EnrollmentRefused, EnrollmentRevoked, EnrollmentUnknown
from aauthlib.store.database import Database, schema
from aauthlib.store.provider import SQLProviderStore
from aauthlib.store.provider_records import Delegation, Enrollment, IssuedToken

NOW = 1_800_000_000.0


def install(name: str = "a", **changes: object) -> Enrollment:
    values = {"thumbprint": f"tp-{name}", "agent": f"aauth:{name}@ap.example", "label": None, "ps": None}
    return Enrollment(**{**values, "enrolled_at": NOW, **changes})  # type: ignore[arg-type]


def issued(jti: str, *, exp: float = NOW + 3600, agent: str = "aauth:a@ap.example") -> IssuedToken:
    return IssuedToken(jti=jti, agent=agent, ps="https://ps.example", exp=exp)


class Contract:
    """What every engine must do."""

    async def test_what_was_enrolled_is_found_by_key_and_by_agent(self, store: SQLProviderStore) -> None:
        enrollment = install(label="laptop", ps="https://ps.example")
        assert await store.enroll(enrollment, most=10) == (enrollment, True)
        assert await store.enrollment("tp-a") == enrollment
        assert await store.enrollment_of("aauth:a@ap.example") == enrollment
        assert await store.enrollment("tp-b") is None
        assert await store.enrollment_of("aauth:b@ap.example") is None

    @pytest.mark.spec("#per-install-identity")
    async def test_a_key_enrols_once_even_when_asked_twenty_times_at_once(self, store: SQLProviderStore) -> None:
        attempts = [store.enroll(install(agent=f"aauth:n{n}@ap.example"), most=100) for n in range(20)]
        results = await asyncio.gather(*attempts)
        assert len({enrollment.agent for enrollment, _ in results}) == 1
        assert sum(created for _, created in results) == 1

    async def test_there_is_an_end_to_enrolling(self, store: SQLProviderStore) -> None:
        await store.enroll(install("a"), most=2)
        await store.enroll(install("b"), most=2)
        with pytest.raises(EnrollmentRefused):
            await store.enroll(install("c"), most=2)
        assert (await store.enroll(install("a"), most=2))[1] is False

    async def test_enrolments_are_listed_in_pages(self, store: SQLProviderStore) -> None:
        for name in "cab":
            await store.enroll(install(name), most=10)
        first = await store.enrollments(limit=2)
        assert [e.agent for e in first] == ["aauth:a@ap.example", "aauth:b@ap.example"]
        assert [e.agent for e in await store.enrollments(limit=2, after=first[-1].agent)] == ["aauth:c@ap.example"]

    @pytest.mark.spec("#two-key-refresh")
    async def test_a_delegation_is_used_once_even_when_presented_at_once(self, store: SQLProviderStore) -> None:
        await store.enroll(install(), most=10)
        delegation = Delegation("d" * 64, NOW + 300)

        async def attempt(n: int) -> bool:
            try:
                await store.record_issued("tp-a", issued(f"j{n}"), now=NOW, delegation=delegation)
            except InvalidJWT:
                return False
            return True

        assert sum(await asyncio.gather(*(attempt(n) for n in range(10)))) == 1
        assert len(await store.revoke_enrollment("aauth:a@ap.example", now=NOW)) == 1

    @pytest.mark.spec("#two-key-refresh")
    async def test_a_delegation_is_remembered_past_its_expiry_and_then_forgotten(self, store: SQLProviderStore) -> None:
        await store.enroll(install(), most=10)
        delegation = Delegation("d" * 64, NOW + 300)
        await store.record_issued("tp-a", issued("j1"), now=NOW, delegation=delegation)
        with pytest.raises(InvalidJWT):
            await store.record_issued("tp-a", issued("j2"), now=NOW + 300, delegation=delegation)
        await store.record_issued("tp-a", issued("j3"), now=NOW + 361, delegation=delegation)

    @pytest.mark.spec("#revocation-cascade")
    async def test_tokens_are_forgotten_after_they_expired(self, store: SQLProviderStore) -> None:
        await store.enroll(install(), most=10)
        await store.record_issued("tp-a", issued("old", exp=NOW + 10), now=NOW)
        assert (await store.issued("old")) == issued("old", exp=NOW + 10)
        await store.record_issued("tp-a", issued("new"), now=NOW + 71)
        assert await store.issued("old") is None
        assert await store.issued("new") is not None

    @pytest.mark.spec("#durable-key-compromise", "#revocation-cascade")
    async def test_nothing_is_issued_after_a_revocation_and_nothing_escapes_it(self, store: SQLProviderStore) -> None:
        """Tokens are issued while the enrolment is revoked: each is refused, or is in what has to be revoked."""
        await store.enroll(install(), most=10)

        async def attempt(n: int) -> str | None:
            try:
                await store.record_issued("tp-a", issued(f"j{n}"), now=NOW)
            except EnrollmentRevoked:
                return None
            return f"j{n}"

        async def revoke() -> set[str]:
            return {token.jti for token in await store.revoke_enrollment("aauth:a@ap.example", now=NOW)}

        *tokens, to_revoke = await asyncio.gather(*(attempt(n) for n in range(8)), revoke())
        assert {jti for jti in tokens if jti is not None} == to_revoke
        with pytest.raises(EnrollmentRevoked):
            await store.record_issued("tp-a", issued("late"), now=NOW)

    @pytest.mark.spec("#revocation-cascade")
    async def test_a_revocation_returns_what_lives_and_is_not_confirmed(self, store: SQLProviderStore) -> None:
        await store.enroll(install("a"), most=10)
        await store.enroll(install("b"), most=10)
        await store.record_issued("tp-a", issued("dead", exp=NOW + 5), now=NOW)
        await store.record_issued("tp-a", issued("sub", agent="aauth:a+x@ap.example"), now=NOW)
        await store.record_issued("tp-a", issued("done"), now=NOW)
        await store.record_issued("tp-b", issued("other", agent="aauth:b@ap.example"), now=NOW)
        await store.mark_revoked("done", now=NOW)
        open_tokens = await store.revoke_enrollment("aauth:a@ap.example", now=NOW + 5)
        assert [token.jti for token in open_tokens] == ["sub"]
        enrollment = await store.enrollment("tp-a")
        assert enrollment is not None
        assert enrollment.revoked_at == NOW + 5
        await store.revoke_enrollment("aauth:a@ap.example", now=NOW + 9)
        again = await store.enrollment("tp-a")
        assert again is not None
        assert again.revoked_at == NOW + 5

    async def test_what_is_not_enrolled_cannot_be_issued_to_or_revoked(self, store: SQLProviderStore) -> None:
        with pytest.raises(EnrollmentUnknown):
            await store.record_issued("tp-x", issued("j"), now=NOW)
        with pytest.raises(EnrollmentUnknown):
            await store.revoke_enrollment("aauth:x@ap.example", now=NOW)


class TestOnSQLite(Contract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SQLProviderStore]:
        database = await Database.open(f"sqlite:///{tmp_path}/p.db")
        yield SQLProviderStore(database)
        await database.close()


class TestOnPostgreSQL(Contract):
    @pytest.fixture
    async def store(self, needs_postgres: str) -> AsyncIterator[SQLProviderStore]:
        database = await Database.open(needs_postgres)
        async with database.transaction() as connection:
            for name in ("provider_tokens", "provider_delegations", "provider_enrollments", "provider_keys"):
                await connection.execute(delete(schema.tables[name]))
        yield SQLProviderStore(database)
        await database.close()
