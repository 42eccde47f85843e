"""Accounts, passwords, passkeys and sessions (#ps-approval-endpoint-auth)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from argon2 import PasswordHasher
from sqlalchemy import text

from aauthlib.accounts import (
    Account,
    Accounts,
    AccountTaken,
    PasskeyRefused,
    SignInRefused,
    TooManyAttempts,
    UnsuitableDetails,
    UnsuitablePassword,
    csrf_token,
)
from aauthlib.accounts.guessing import FAILURE_WINDOW_S, FAILURES_BY_NAME, FAILURES_BY_NETWORK
from aauthlib.accounts.passwords import Passwords
from aauthlib.accounts.sessions import SESSION_IDLE_S, SESSION_LIFETIME_S
from aauthlib.errors import NotFound
from aauthlib.store.accounts import SQLAccountStore
from aauthlib.store.database import Database
from tests.person.parties import Clock

from .authenticator import Authenticator

ISSUER = "https://ps.example"
PASSWORD = "correct horse battery"
BINDER = "the secret of this browser"

pytestmark = pytest.mark.spec("#ps-approval-endpoint-auth")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(f"sqlite:///{tmp_path}/accounts.db")
    yield database
    await database.close()


def _accounts(database: Database, clock: Clock) -> Accounts:
    cheap = Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    return Accounts(SQLAccountStore(database), issuer=ISSUER, clock=clock, passwords=cheap)


@pytest.fixture
def accounts(database: Database, clock: Clock) -> Accounts:
    return _accounts(database, clock)


@pytest.fixture
async def ana(accounts: Accounts) -> Account:
    return await accounts.create("ana", "Ana Example", password=PASSWORD)


async def _with_passkey(accounts: Accounts, binder: str = BINDER) -> tuple[Account, Authenticator]:
    """An account that has a passkey and no password."""
    authenticator = Authenticator(ISSUER, "ps.example")
    handle = accounts.new_user_handle()
    options = await accounts.passkeys.registration_options(
        user_handle=handle, username="ana", display_name="Ana", binder=binder
    )
    account = await accounts.create(
        "ana", "Ana", credential=authenticator.create(options), user_handle=handle, binder=binder
    )
    return account, authenticator


# ---------------------------------------------------------------------- accounts


async def test_the_first_run_ends_with_the_first_account(accounts: Accounts) -> None:
    assert await accounts.first_run()
    await accounts.create("ana", "Ana", password=PASSWORD, first=True)
    assert not await accounts.first_run()


async def test_the_first_account_is_made_once_also_when_two_try_at_the_same_time(
    database: Database, clock: Clock
) -> None:
    processes = [_accounts(database, clock) for _ in range(4)]
    made: list[str] = []

    async def make(number: int) -> None:
        try:
            await processes[number].create(f"person{number}", "Somebody", password=PASSWORD, first=True)
        except AccountTaken:
            return
        made.append(f"person{number}")

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(make, number)
    assert len(made) == 1
    assert await SQLAccountStore(database).count_accounts() == 1


async def test_a_username_is_taken_once(accounts: Accounts, ana: Account) -> None:
    with pytest.raises(AccountTaken):
        await accounts.create("ANA ", "Another Ana", password=PASSWORD)


@pytest.mark.parametrize("username", ["", "a b", "-ana", "ána", "x" * 33, "an\na"])
async def test_a_username_outside_its_alphabet_is_refused(accounts: Accounts, username: str) -> None:
    with pytest.raises(UnsuitableDetails) as raised:
        await accounts.create(username, "Ana", password=PASSWORD)
    assert raised.value.field == "username"


async def test_a_name_loses_characters_that_change_direction_or_line(accounts: Accounts) -> None:
    account = await accounts.create("ana", "Ana\u202e\nExample", password=PASSWORD)
    assert account.display_name == "Ana Example"


# ---------------------------------------------------------------------- passwords


@pytest.mark.parametrize("password", ["", "short", "a" * 40, "ana ana ana ana", "x" * 257])
async def test_an_unsuitable_password_is_refused(accounts: Accounts, password: str) -> None:
    with pytest.raises(UnsuitablePassword):
        await accounts.create("ana", "Ana", password=password)
    assert await accounts.first_run()


async def test_the_right_password_signs_in_and_the_name_is_not_case_sensitive(accounts: Accounts, ana: Account) -> None:
    assert (await accounts.verify_password(" Ana", PASSWORD)).person_id == ana.person_id


async def test_composed_and_decomposed_letters_are_one_password(accounts: Accounts) -> None:
    await accounts.create("ana", "Ana", password="pássword pássword")
    assert await accounts.verify_password("ana", "pa\u0301ssword pa\u0301ssword")


async def test_a_wrong_password_and_an_unknown_name_are_refused_alike(accounts: Accounts, ana: Account) -> None:
    said = []
    for username in ("ana", "nobody"):
        with pytest.raises(SignInRefused) as raised:
            await accounts.verify_password(username, "something else entirely")
        said.append(str(raised.value))
    assert said[0] == said[1]


async def test_an_unknown_name_costs_one_hash_as_a_known_one_does(database: Database, clock: Clock) -> None:
    verified: list[str] = []

    class Counting(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]
            verified.append("one")
            return bool(super().verify(hash, password))

    hasher = Counting(time_cost=1, memory_cost=64, parallelism=1)
    accounts = Accounts(SQLAccountStore(database), issuer=ISSUER, clock=clock, passwords=Passwords(hasher))
    for _ in range(2):
        with pytest.raises(SignInRefused):
            await accounts.verify_password("nobody", PASSWORD)
    assert len(verified) == 2


async def test_guessing_one_name_is_slowed_down_whether_it_exists_or_not(
    accounts: Accounts, ana: Account, clock: Clock
) -> None:
    for username in ("ana", "nobody"):
        for _ in range(FAILURES_BY_NAME):
            with pytest.raises(SignInRefused):
                await accounts.verify_password(username, "a wrong password")
        with pytest.raises(TooManyAttempts, match="15 minutes"):
            await accounts.verify_password(username, PASSWORD)
    clock.now += FAILURE_WINDOW_S
    assert await accounts.verify_password("ana", PASSWORD)


async def test_guessing_many_names_from_one_network_is_slowed_down(accounts: Accounts, ana: Account) -> None:
    for number in range(FAILURES_BY_NETWORK):
        with pytest.raises(SignInRefused):
            await accounts.verify_password(f"n{number}", "a wrong password", address=f"2001:db8::{number:x}")
    with pytest.raises(TooManyAttempts):
        await accounts.verify_password("ana", PASSWORD, address="2001:db8::ffff")
    assert await accounts.verify_password("ana", PASSWORD, address="2001:db8:1::1")


async def test_a_proxy_on_this_machine_is_not_taken_for_one_client(accounts: Accounts, ana: Account) -> None:
    for number in range(FAILURES_BY_NETWORK + 1):
        with pytest.raises(SignInRefused):
            await accounts.verify_password(f"n{number}", "a wrong password", address="127.0.0.1")
    assert await accounts.verify_password("ana", PASSWORD, address="127.0.0.1")


async def test_the_password_is_not_in_the_database(accounts: Accounts, ana: Account, database: Database) -> None:
    async with database.transaction() as connection:
        (stored,) = (await connection.execute(text("SELECT password_hash FROM account"))).one()
    assert stored.startswith("$argon2id$")
    assert PASSWORD not in stored


async def test_a_new_password_ends_the_other_sessions(accounts: Accounts, ana: Account) -> None:
    here = await accounts.start_session(ana, method="password")
    elsewhere = await accounts.start_session(ana, method="password")
    found = await accounts.session(here.secret)
    assert found is not None
    await accounts.change_password(ana, current=PASSWORD, new="battery horse staple", session=found[0])
    assert await accounts.session(here.secret)
    assert await accounts.session(elsewhere.secret) is None
    assert await accounts.verify_password("ana", "battery horse staple")


async def test_changing_the_password_takes_the_current_one(accounts: Accounts, ana: Account) -> None:
    secret = (await accounts.start_session(ana, method="password")).secret
    found = await accounts.session(secret)
    assert found is not None
    with pytest.raises(SignInRefused):
        await accounts.change_password(ana, current="something else", new="battery horse staple", session=found[0])
    assert await accounts.verify_password("ana", PASSWORD)


# ---------------------------------------------------------------------- sessions


async def test_a_session_ends_when_it_is_not_used_for_long(accounts: Accounts, ana: Account, clock: Clock) -> None:
    secret = (await accounts.start_session(ana, method="password")).secret
    clock.now += SESSION_IDLE_S - 1
    assert await accounts.session(secret)
    clock.now += SESSION_IDLE_S
    assert await accounts.session(secret) is None


async def test_a_session_ends_in_any_case(accounts: Accounts, ana: Account, clock: Clock) -> None:
    secret = (await accounts.start_session(ana, method="password")).secret
    for _ in range(int(SESSION_LIFETIME_S // 86_400) - 1):
        clock.now += 86_400
        assert await accounts.session(secret)
    clock.now += 86_400
    assert await accounts.session(secret) is None


async def test_a_database_dump_holds_no_session_secret(accounts: Accounts, ana: Account, database: Database) -> None:
    secret = (await accounts.start_session(ana, method="password")).secret
    async with database.transaction() as connection:
        rows = (await connection.execute(text("SELECT * FROM session"))).all()
    assert len(rows) == 1
    assert secret not in repr(rows)
    assert await accounts.session(rows[0].digest) is None


async def test_a_session_is_ended_by_its_person_only(accounts: Accounts, ana: Account) -> None:
    secret = (await accounts.start_session(ana, method="password")).secret
    found = await accounts.session(secret)
    assert found is not None
    assert not await accounts.end_session(found[0].digest, person_id="somebody else")
    assert await accounts.end_session(found[0].digest, person_id=ana.person_id)
    assert await accounts.session(secret) is None


def test_the_csrf_token_does_not_give_the_session_away() -> None:
    assert csrf_token("one secret") != csrf_token("another secret")
    assert "one secret" not in csrf_token("one secret")


# ---------------------------------------------------------------------- passkeys


async def test_a_passkey_makes_an_account_and_signs_in(accounts: Accounts, clock: Clock) -> None:
    account, authenticator = await _with_passkey(accounts)
    assert account.password_hash is None
    options = await accounts.passkeys.authentication_options(binder=BINDER)
    assert options["rpId"] == "ps.example"
    assert (await accounts.passkeys.authenticate(authenticator.get(options), binder=BINDER)) == account
    (passkey,) = await accounts.passkeys_of(account.person_id)
    assert (passkey.sign_count, passkey.last_used_at) == (1, clock.now)


async def test_an_answer_is_good_once(accounts: Accounts) -> None:
    _, authenticator = await _with_passkey(accounts)
    answer = authenticator.get(await accounts.passkeys.authentication_options(binder=BINDER))
    await accounts.passkeys.authenticate(answer, binder=BINDER)
    with pytest.raises(PasskeyRefused, match="used before"):
        await accounts.passkeys.authenticate(answer, binder=BINDER)


async def test_an_answer_is_good_for_five_minutes(accounts: Accounts, clock: Clock) -> None:
    _, authenticator = await _with_passkey(accounts)
    answer = authenticator.get(await accounts.passkeys.authentication_options(binder=BINDER))
    clock.now += 301
    with pytest.raises(PasskeyRefused, match="too long"):
        await accounts.passkeys.authenticate(answer, binder=BINDER)


async def test_an_answer_is_good_in_the_browser_that_asked_only(accounts: Accounts) -> None:
    _, authenticator = await _with_passkey(accounts)
    answer = authenticator.get(await accounts.passkeys.authentication_options(binder=BINDER))
    with pytest.raises(PasskeyRefused):
        await accounts.passkeys.authenticate(answer, binder="another browser")


async def test_a_challenge_for_making_a_passkey_signs_nobody_in(accounts: Accounts) -> None:
    account, authenticator = await _with_passkey(accounts)
    options = await accounts.passkeys.registration_options(
        user_handle=account.user_handle, username="ana", display_name="Ana", binder=BINDER
    )
    with pytest.raises(PasskeyRefused):
        await accounts.passkeys.authenticate(authenticator.get(options), binder=BINDER)


async def test_an_answer_of_another_origin_is_refused(accounts: Accounts) -> None:
    _, authenticator = await _with_passkey(accounts)
    options = await accounts.passkeys.authentication_options(binder=BINDER)
    with pytest.raises(PasskeyRefused):
        await accounts.passkeys.authenticate(authenticator.get(options, origin="https://evil.example"), binder=BINDER)


async def test_a_counter_that_does_not_move_on_is_refused(accounts: Accounts) -> None:
    _, authenticator = await _with_passkey(accounts)
    for _ in range(2):
        options = await accounts.passkeys.authentication_options(binder=BINDER)
        await accounts.passkeys.authenticate(authenticator.get(options), binder=BINDER)
    authenticator.count = 0
    options = await accounts.passkeys.authentication_options(binder=BINDER)
    with pytest.raises(PasskeyRefused):
        await accounts.passkeys.authenticate(authenticator.get(options), binder=BINDER)


async def test_a_passkey_that_is_not_known_is_refused_as_a_wrong_one_is(accounts: Accounts) -> None:
    account, known = await _with_passkey(accounts)
    stranger = Authenticator(ISSUER, "ps.example")
    stranger.user_handle = account.user_handle
    impostor = Authenticator(ISSUER, "ps.example")
    impostor.credential_id, impostor.user_handle = known.credential_id, account.user_handle
    said = []
    for authenticator in (stranger, impostor):
        options = await accounts.passkeys.authentication_options(binder=BINDER)
        with pytest.raises(PasskeyRefused) as raised:
            await accounts.passkeys.authenticate(authenticator.get(options), binder=BINDER)
        said.append(str(raised.value))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    "answer",
    ["", "null", "[]", "{}", "{" * 5000, '{"id": 1}', "x" * 20_000, '{"id":"a","rawId":"a","type":"public-key"}'],
)
async def test_what_is_no_answer_is_refused(accounts: Accounts, answer: str) -> None:
    with pytest.raises(PasskeyRefused):
        await accounts.passkeys.authenticate(answer, binder=BINDER)


async def test_every_damaged_answer_is_refused(accounts: Accounts) -> None:
    _, authenticator = await _with_passkey(accounts)
    options = await accounts.passkeys.authentication_options(binder=BINDER)
    document = json.loads(authenticator.get(options))
    for member in document["response"]:
        for damaged in ("", "AA", "!!", document["response"][member][:-4], 7, {}):
            changed = {**document, "response": {**document["response"], member: damaged}}
            with pytest.raises(PasskeyRefused):
                await accounts.passkeys.authenticate(json.dumps(changed), binder=BINDER)


async def test_a_passkey_is_added_and_removed(accounts: Accounts, ana: Account) -> None:
    authenticator = Authenticator(ISSUER, "ps.example")
    options = await accounts.passkeys.registration_options(
        user_handle=ana.user_handle, username="ana", display_name="Ana", binder=BINDER
    )
    await accounts.add_passkey(ana, authenticator.create(options), binder=BINDER, name="My key\n")
    (passkey,) = await accounts.passkeys_of(ana.person_id)
    assert passkey.name == "My key"
    await accounts.remove_passkey(ana.person_id, passkey.credential_id)
    assert list(await accounts.passkeys_of(ana.person_id)) == []


async def test_the_last_way_in_is_not_removed(accounts: Accounts) -> None:
    account, authenticator = await _with_passkey(accounts)
    with pytest.raises(UnsuitableDetails, match="only way"):
        await accounts.remove_passkey(account.person_id, authenticator.credential_id)


async def test_somebody_elses_passkey_is_not_removed(accounts: Accounts) -> None:
    account, authenticator = await _with_passkey(accounts)
    other = await accounts.create("bo", "Bo", password=PASSWORD)
    with pytest.raises(NotFound):
        await accounts.remove_passkey(other.person_id, authenticator.credential_id)
    assert len(await accounts.passkeys_of(account.person_id)) == 1


def test_secrets_are_not_in_what_is_printed_of_an_account() -> None:
    account = Account(person_id="p", username="ana", display_name="Ana", password_hash="$argon2id$x", user_handle=b"h")
    assert "argon2" not in repr(account)
