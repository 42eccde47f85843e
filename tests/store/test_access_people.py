"""The people of an access server, on SQLite and on PostgreSQL (#ps-as-trust-establishment)."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest

from aauthlib.errors import AAuthError, NotFound
from aauthlib.store.access_people import SQLAccessPeople
from aauthlib.store.access_people_records import ADMINISTRATOR, APPROVER, PERSON, AccessInvitation
from aauthlib.store.account_records import Account, AccountTaken
from aauthlib.store.database import Database
from aauthlib.store.organisation_records import LastAdministrator
from aauthlib.store.person import SQLPersonStore

pytestmark = pytest.mark.spec("#ps-as-trust-establishment")

NOW = 1_800_000_000.0
ANA = Account(person_id="a", username="ana", display_name="Ana", user_handle=b"a" * 32, created_at=NOW)
BO = replace(ANA, person_id="b", username="bo", display_name="Bo", user_handle=b"b" * 32)
LINK = AccessInvitation(
    digest="d" * 64, role=APPROVER, approves=("owner",), note="For Bo", created_at=NOW, expires_at=NOW + 60
)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> SQLAccessPeople:
    database: Database = request.getfixturevalue(request.param)
    return SQLAccessPeople(database)


async def test_the_first_account_administers_and_an_invited_one_does_what_the_invitation_says(
    store: SQLAccessPeople,
) -> None:
    assert not await store.has_administrator()
    await store.create_account(ANA, first=True)
    await store.invite(LINK, now=NOW)
    assert await store.invitations(now=NOW) == [LINK]
    await store.create_invited(BO, digest=LINK.digest, now=NOW)
    assert [(each.username, each.role, each.approves) for each in await store.people()] == [
        ("ana", ADMINISTRATOR, ()),
        ("bo", APPROVER, ("owner",)),
    ]
    assert await store.has_administrator()


async def test_of_many_who_open_an_invitation_at_once_one_gets_in(store: SQLAccessPeople) -> None:
    await store.create_account(ANA, first=True)
    await store.invite(LINK, now=NOW)
    joined: list[int] = []

    async def join(number: int) -> None:
        account = replace(BO, person_id=f"p{number}", username=f"p{number}", user_handle=bytes([number]) * 32)
        try:
            await store.create_invited(account, digest=LINK.digest, now=NOW)
        except (NotFound, AccountTaken):
            return
        joined.append(number)

    async with anyio.create_task_group() as group:
        for number in range(1, 6):
            group.start_soon(join, number)
    assert len(joined) == 1
    assert len(await store.people()) == 2


async def test_an_account_that_cannot_be_made_leaves_the_invitation_open(store: SQLAccessPeople) -> None:
    await store.create_account(ANA, first=True)
    await store.invite(LINK, now=NOW)
    with pytest.raises(AccountTaken):
        await store.create_invited(replace(BO, username="ana"), digest=LINK.digest, now=NOW)
    assert await store.invitations(now=NOW) == [LINK]


async def test_two_administrators_who_step_down_at_once_are_not_both_let_go(store: SQLAccessPeople) -> None:
    await store.create_account(ANA, first=True)
    await store.invite(replace(LINK, role=ADMINISTRATOR, approves=()), now=NOW)
    await store.create_invited(BO, digest=LINK.digest, now=NOW)
    refused: list[AAuthError] = []

    async def step_down(person_id: str) -> None:
        try:
            await store.set_role(person_id, PERSON, ())
        except LastAdministrator as error:
            refused.append(error)

    async with anyio.create_task_group() as group:
        for person_id in ("a", "b"):
            group.start_soon(step_down, person_id)
    assert len(refused) == 1
    assert await store.has_administrator()


async def test_a_removed_account_is_gone_with_its_role(store: SQLAccessPeople) -> None:
    await store.create_account(ANA, first=True)
    await store.invite(LINK, now=NOW)
    await store.create_invited(BO, digest=LINK.digest, now=NOW)
    await store.remove("b")
    assert (await store.person("b"), await store.account("b")) == (None, None)
    with pytest.raises(LastAdministrator):
        await store.remove("a")


async def test_an_account_that_a_person_server_in_the_same_database_has_stays_without_the_role(
    store: SQLAccessPeople,
) -> None:
    await store.create_account(ANA, first=True)
    await store.invite(LINK, now=NOW)
    await store.create_invited(BO, digest=LINK.digest, now=NOW)
    await SQLPersonStore(store.database).set_profile("b", {"name": "Bo"})
    await store.remove("b")
    assert (await store.person("b"), await store.account("b")) == (None, BO)
