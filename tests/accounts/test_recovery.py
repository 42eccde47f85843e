"""Recovery codes, sessions and guessing, as kept (#ps-approval-endpoint-auth)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest
from argon2 import PasswordHasher
from sqlalchemy import text

from aauthlib.accounts import Account, Accounts
from aauthlib.accounts.guessing import FAILURE_WINDOW_S, FAILURES_BY_NAME, SignInRefused, TooManyAttempts
from aauthlib.accounts.networks import place_of
from aauthlib.accounts.passwords import Passwords
from aauthlib.accounts.recovery import RECOVERY_CODES
from aauthlib.store.accounts import SQLAccountStore
from aauthlib.store.database import Database
from tests.person.parties import Clock

PASSWORD = "correct horse battery"

pytestmark = pytest.mark.spec("#ps-approval-endpoint-auth")


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(f"sqlite:///{tmp_path}/accounts.db")
    yield database
    await database.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _accounts(database: Database, clock: Clock) -> Accounts:
    cheap = Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    return Accounts(SQLAccountStore(database), issuer="https://ps.example", clock=clock, passwords=cheap)


@pytest.fixture
def accounts(database: Database, clock: Clock) -> Accounts:
    return _accounts(database, clock)


@pytest.fixture
async def ana(accounts: Accounts) -> Account:
    return await accounts.create("ana", "Ana", password=PASSWORD)


async def test_a_recovery_code_signs_in_once(accounts: Accounts, ana: Account) -> None:
    codes = await accounts.recovery.renew(ana.person_id)
    assert len(set(codes)) == RECOVERY_CODES == await accounts.recovery.left(ana.person_id)
    assert await accounts.recovery.redeem("Ana ", codes[3].lower().replace("-", " ")) == ana
    assert await accounts.recovery.left(ana.person_id) == RECOVERY_CODES - 1
    with pytest.raises(SignInRefused):
        await accounts.recovery.redeem("ana", codes[3])


async def test_of_many_who_use_one_code_at_once_one_gets_in(accounts: Accounts, ana: Account) -> None:
    code = (await accounts.recovery.renew(ana.person_id))[0]
    entered = []

    async def enter() -> None:
        with suppress(SignInRefused):
            entered.append(await accounts.recovery.redeem("ana", code))

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(enter)
    assert entered == [ana]


async def test_new_codes_void_the_old(accounts: Accounts, ana: Account) -> None:
    (old, *_), (new, *_) = await accounts.recovery.renew(ana.person_id), await accounts.recovery.renew(ana.person_id)
    with pytest.raises(SignInRefused):
        await accounts.recovery.redeem("ana", old)
    assert await accounts.recovery.redeem("ana", new)


async def test_a_code_is_good_for_its_own_account_only(accounts: Accounts, ana: Account) -> None:
    await accounts.create("bo", "Bo", password=PASSWORD)
    code = (await accounts.recovery.renew(ana.person_id))[0]
    for name in ("bo", "nobody", ""):
        with pytest.raises(SignInRefused, match="The username or the recovery code is wrong"):
            await accounts.recovery.redeem(name, code)
    assert await accounts.recovery.redeem("ana", code)


@pytest.mark.parametrize("typed", ["", "no code", "é" * 16, "0" * 16, "A" * 1000])
async def test_what_is_no_code_signs_nobody_in(accounts: Accounts, ana: Account, typed: str) -> None:
    await accounts.recovery.renew(ana.person_id)
    with pytest.raises(SignInRefused):
        await accounts.recovery.redeem("ana", typed)


async def test_the_codes_are_not_in_the_database(accounts: Accounts, ana: Account, database: Database) -> None:
    codes = await accounts.recovery.renew(ana.person_id)
    async with database.transaction() as connection:
        rows = (await connection.execute(text("SELECT * FROM recovery_code"))).all()
    kept = repr(rows)
    assert len(rows) == RECOVERY_CODES
    assert not [code for code in codes if code in kept or code.replace("-", "") in kept]


async def test_guessing_codes_is_slowed_down_and_locks_no_password(accounts: Accounts, ana: Account) -> None:
    code = (await accounts.recovery.renew(ana.person_id))[0]
    for _ in range(FAILURES_BY_NAME):
        with pytest.raises(SignInRefused):
            await accounts.recovery.redeem("ana", "0000-0000-0000-0000")
    with pytest.raises(TooManyAttempts):
        await accounts.recovery.redeem("ana", code)
    assert await accounts.verify_password("ana", PASSWORD) == ana


async def test_neither_a_restart_nor_another_process_gives_another_round(
    database: Database, accounts: Accounts, ana: Account, clock: Clock
) -> None:
    for _ in range(FAILURES_BY_NAME // 2):
        for each in (accounts, _accounts(database, clock)):
            with pytest.raises(SignInRefused):
                await each.verify_password("ana", "a wrong password")
    with pytest.raises(TooManyAttempts):
        await _accounts(database, clock).verify_password("ana", PASSWORD)
    clock.now += FAILURE_WINDOW_S
    assert await _accounts(database, clock).verify_password("ana", PASSWORD)


async def test_many_guesses_at_once_are_counted_one_by_one(accounts: Accounts, ana: Account) -> None:
    outcomes: list[type[Exception]] = []

    async def guess() -> None:
        try:
            await accounts.verify_password("ana", "a wrong password")
        except (SignInRefused, TooManyAttempts) as error:
            outcomes.append(type(error))

    async with anyio.create_task_group() as group:
        for _ in range(FAILURES_BY_NAME + 5):
            group.start_soon(guess)
    assert outcomes.count(SignInRefused) == FAILURES_BY_NAME
    assert outcomes.count(TooManyAttempts) == 5


async def test_attempts_are_dropped_when_their_time_is_over(
    database: Database, accounts: Accounts, ana: Account, clock: Clock
) -> None:
    for number in range(5):
        with pytest.raises(SignInRefused):
            await accounts.verify_password(f"n{number}", "a wrong password", address="203.0.113.9")
    clock.now += FAILURE_WINDOW_S
    await accounts.verify_password("ana", PASSWORD, address="203.0.113.9")
    async with database.transaction() as connection:
        assert (await connection.execute(text("SELECT COUNT(*) FROM sign_in_attempt"))).scalar_one() == 0


async def test_all_other_sessions_are_ended_and_nobody_elses(accounts: Accounts, ana: Account) -> None:
    bo = await accounts.create("bo", "Bo", password=PASSWORD)
    here, there, other = [await accounts.start_session(each, method="password") for each in (ana, ana, bo)]
    found = await accounts.session(here.secret)
    assert found is not None
    assert await accounts.end_other_sessions(found[0]) == 1
    assert await accounts.session(here.secret)
    assert await accounts.session(there.secret) is None
    assert await accounts.session(other.secret)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"),
        ("127.0.0.1", ""),
        ("testclient", ""),
        (None, ""),
    ],
)
async def test_of_an_address_the_network_is_kept_and_nothing_else(
    accounts: Accounts, ana: Account, database: Database, address: str | None, place: str
) -> None:
    assert place_of(address) == place
    await accounts.start_session(ana, method="password", address=address)
    assert [each.place for each in await accounts.sessions(ana.person_id)] == [place]
    async with database.transaction() as connection:
        assert "113.77" not in repr((await connection.execute(text("SELECT * FROM session"))).all())
