"""A person's own data: the copy has all of it, deleting leaves nothing that leads to them."""

from __future__ import annotations

import importlib
import json
import pkgutil
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Float, Integer, LargeBinary, String, insert, select, text

import aauthlib.store
from aauthlib.accounts.sessions import RECENT_S
from aauthlib.base64url import b64url_encode
from aauthlib.deferred.machine import State
from aauthlib.deferred.pending import Pending
from aauthlib.person.organisation_settings import OrganisationSettings
from aauthlib.policies.approvers import Step
from aauthlib.store.access_approval_tables import access_approval_entries, access_approvals
from aauthlib.store.approval_records import Away, Ballot, BecauseOf, Course, Opening, Origin
from aauthlib.store.database import Database, schema
from aauthlib.store.notification_records import Preferences
from aauthlib.store.organisation_records import LinkedIdentity
from aauthlib.store.person import SQLPersonStore
from aauthlib.store.person_data import IMPERSONAL, PERSONAL, READABLE
from aauthlib.store.person_tables import bindings
from aauthlib.store.sealing import ENVIRONMENT_VARIABLE, new_key

from .conftest import PASSWORD, Browser, MakeSite, Site
from .parties import page_url
from .test_security import _add_passkey, _recovery_codes

pytestmark = pytest.mark.spec("#ps-approval-endpoint-auth")


def test_somebody_decided_about_every_table() -> None:
    """A new table belongs in `store.person_data`: how its rows are shown and erased, or why none is anybody's."""
    for module in pkgutil.iter_modules(aauthlib.store.__path__):
        importlib.import_module(f"aauthlib.store.{module.name}")
    personal = {held.table.name for held in PERSONAL}
    assert personal & set(IMPERSONAL) == set()
    # Tests of the store may have added a table of their own to the same schema.
    tables = {table.name for table in schema.sorted_tables if not table.name.startswith("test_")}
    assert tables == personal | set(IMPERSONAL)


def test_a_table_with_a_person_in_it_is_never_called_impersonal() -> None:
    named = {table.name for table in schema.sorted_tables if "person_id" in table.c}
    assert named & set(IMPERSONAL) == set()


def test_somebody_decided_about_every_column_with_words_in_it() -> None:
    """Of what is held on a person, each column is encrypted where there is a key, or has a reason not to be."""
    for held in PERSONAL:
        for column in held.table.columns:
            if isinstance(column.type, String | LargeBinary):
                assert {column.name, f"{held.table.name}.{column.name}"} & READABLE.keys(), (held.table.name, column)


@dataclass
class Life:
    """Somebody who has used everything, and somebody else beside them."""

    site: Site
    ana: Browser
    boss: Browser
    person_id: str
    token: str
    codes: list[str]

    async def dump(self) -> dict[str, list[dict[str, Any]]]:
        """Every row of every table."""
        async with self.site.app.database.transaction() as connection:
            return {
                table.name: [dict(row) for row in (await connection.execute(select(table))).mappings()]
                for table in schema.sorted_tables
            }

    async def delete(self, username: str = "ana") -> Any:
        await self.ana.get("/data")
        return await self.ana.submit("/data/delete", username=username)


@pytest.fixture
def encryption_key(monkeypatch: pytest.MonkeyPatch) -> str:
    """The operator has set one."""
    key = new_key()
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, key)
    return key


@pytest.fixture(params=["sqlite", "postgresql"])
async def life(request: pytest.FixtureRequest, make_site: MakeSite) -> AsyncIterator[Life]:
    if "encryption_key" in request.fixturenames:
        request.getfixturevalue("encryption_key")
    options: dict[str, Any] = {"organisations": {"corp": OrganisationSettings(name="Corp Ltd")}}
    if request.param == "postgresql":
        url = request.getfixturevalue("needs_postgres")
        database = await Database.open(url)
        async with database.transaction() as connection:
            for table in reversed(schema.sorted_tables):
                await connection.execute(table.delete())
        await database.close()
        options["database_url"] = url
    site = await make_site(**options)
    ana, boss = site.browser(), site.browser()
    await ana.set_up(display_name="Ana Example", email="ana@example.com")
    person_id = await site.person_id()
    secret = site.app.invitations["corp"]
    await boss.get(f"/join/{secret}")
    await boss.submit(f"/join/{secret}", display_name="Boss", username="boss", password=PASSWORD, email="")
    await boss.get("/organisation")
    await boss.submit("/organisation/invite")
    link = "/join/" + boss.page.partition("/join/")[2].partition('"')[0]
    await ana.get(link)
    await ana.submit(link)
    boss_id = (await site.app.accounts.verify_password("boss", PASSWORD)).person_id
    # Each has a hand in the other's log.
    await site.app.organisations.set_role(boss_id, person_id, "administrator")
    await site.app.organisations.set_role(person_id, boss_id, "administrator")
    await site.app.organisations.store.link(
        LinkedIdentity(
            iss="https://login.example",
            sub="ana-there",
            person_id=person_id,
            tenant="corp",
            created_at=1,
            last_used_at=2,
        )
    )
    await _add_passkey(ana)
    codes = await _recovery_codes(ana)
    answer = await site.ask_person_token(
        justification="For Ana Example", device="Ana Example’s phone", login_hint="ana"
    )
    path = (await ana.get(page_url(answer))).headers["location"]
    await ana.get(path)
    await ana.submit(path, decision="approve", remember="yes")
    token = (await site.poll(answer)).json()["person_token"]
    phone = {"endpoint": "https://push.example/ana", "p256dh": b64url_encode(b"\x04" + bytes(64))}
    await site.app.notifier.subscribe_browser(person_id, **phone, auth=b64url_encode(bytes(16)), name="Ana’s phone")
    await site.app.notifier.set_preferences(person_id, Preferences(zone="Europe/Madrid"))
    # One request is granted and not fetched, one waits.
    for scope in ("calendar.read", "calendar.write"):
        pending = await site.app.server.auth_token(
            site.parties.ask_auth_token(
                token, scope, device="Ana Example’s phone", capabilities=["interaction", "clarification"]
            )
        )
        path = (await ana.get(page_url(pending))).headers["location"]
        await ana.get(path)
        if scope == "calendar.read":
            await ana.submit(path, decision="approve", scope=scope)
        else:
            await ana.submit(f"{path}/ask", question="For Ana Example?")
    proposal = {"description": "For Ana Example", "tools": [{"name": "WebSearch"}]}
    proposed = await site.app.server.propose_mission(
        site.parties.signed("POST", f"{site.parties.ps}/mission", proposal)
    )
    path = (await ana.get(page_url(proposed))).headers["location"]
    await ana.get(path)
    await ana.submit(path, decision="approve", term="week", description="For Ana Example")
    await _approve_and_be_approved(site, person_id, boss_id)
    yield Life(site, ana, boss, person_id, token, codes)


async def _approve_and_be_approved(site: Site, person_id: str, boss_id: str) -> None:
    """Others decide about a request of Ana's agent; she decided about one of the boss's, is in a group, and away."""
    store, now, agent = site.app.server.store, site.clock(), (site.parties.ap, site.parties.sub)
    assert isinstance(store, SQLPersonStore)
    other = (site.parties.ap, "aauth:other@assistant.example")
    async with store.database.transaction() as connection:
        await connection.execute(
            insert(bindings).values(
                agent_iss=other[0], agent_sub=other[1], person_id=boss_id, connected_at=now, last_used_at=now
            )
        )
    await site.app.organisations.store.add_to_group("corp", person_id, "finance", by=boss_id, now=now)
    course = Course(ask_person=False, steps=(Step(groups=("administrators",), deadline_s=3600.0),))
    because = BecauseOf(version="v1", rule="r")
    for subject, asking in ((person_id, agent), (boss_id, other)):
        request = {
            "kind": "person_token",
            "agent": {"iss": asking[0], "sub": asking[1], "jti": "j"},
            "resource": "https://shop.example",
            "justification": "For Ana Example" if subject == person_id else "For the boss",
        }
        pending = Pending(
            digest=secrets.token_hex(32),
            owner="x",
            kind="person_token",
            state=State.PENDING,
            created_at=now,
            expires_at=now + 900,
            requirement="approval",
            request=request,
        )
        opening = Opening(
            id=secrets.token_hex(32),
            key=subject,
            person_id=subject,
            tenant="corp",
            agent=asking,
            request=request,
            course=course,
            because=because,
        )
        await store.create_pending(pending, opening=opening)
    boss_asks = await store.approval_for(boss_id, now=now)
    assert boss_asks is not None
    ballot = Ballot(
        person_id=person_id,
        yes=True,
        comment="Ana Example says yes",
        origin=Origin(),
        because=because,
        course=course,
        round=1,
    )
    await store.vote(boss_asks.id, ballot, now=now)
    away = Away(person_id=person_id, delegate=boss_id, since=now, until=now + 3600)
    await store.set_absence(away, now=now)


async def _export(browser: Browser) -> dict[str, Any]:
    await browser.get("/data")
    response = await browser.submit("/data/export")
    assert response.status_code == 200
    assert response.headers["content-disposition"] == 'attachment; filename="my-data.json"'
    assert response.headers["cache-control"] == "no-store"
    document: dict[str, Any] = json.loads(response.text)
    return document


async def test_the_copy_has_every_row_on_the_person_and_none_on_anybody_else(life: Life) -> None:
    held = (await _export(life.ana))["held"]
    assert set(held) == {each.table.name for each in PERSONAL}
    # Access servers and what they issued are not part of this life.
    elsewhere = {"access_approval_entries", "access_people", "person_federated_tokens", "person_mission_answers"}
    assert {name for name, rows in held.items() if not rows} == elsewhere
    everything = await life.dump()
    for name, rows in held.items():
        mine = [row for row in everything[name] if row.get("person_id") == life.person_id]
        assert len(rows) >= len(mine)
    assert held["account"][0]["email"] == "ana@example.com"
    assert held["person_profiles"][0]["claims"]["name"] == "Ana Example"
    assert "boss" not in json.dumps(held["account"]) + json.dumps(held["session"])


async def test_the_copy_holds_no_secret(life: Life) -> None:
    text = json.dumps(await _export(life.ana))
    session = dict(life.ana.client.cookies)["__Host-aauth-person"]
    for secret in (PASSWORD, "argon2", session, life.token, *life.codes):
        assert secret not in text
    everything = await life.dump()
    for table, column in (
        ("account", "password_hash"),
        ("session", "digest"),
        ("recovery_code", "digest"),
        ("pending", "code_digest"),
        ("pending", "handle"),
        ("pending", "digest"),
    ):
        for row in everything[table]:
            assert row[column] is None or str(row[column]) not in text, (table, column)


async def test_deleting_leaves_nothing_that_leads_to_the_person(life: Life) -> None:
    before = await life.dump()
    identifying = {
        life.person_id,
        "Ana Example",
        "ana@example.com",
        "ana-there",
        str(before["account"][0]["user_handle"]),
        *(row["sub"] for row in before["person_directed_subs"]),
        *(str(row["credential_id"]) for row in before["passkey"]),
    }
    assert all(any(said in repr(rows) for rows in before.values()) for said in identifying)
    response = await life.delete()
    assert response.status_code == 200
    assert "Your account was deleted" in life.ana.text
    after = await life.dump()
    # The records of tokens, which revocation needs, and which go with the tokens within the hour.
    until_expired = {"person_issued_tokens", "person_presentations"}
    for name, rows in after.items():
        for said in identifying:
            if name in until_expired and said in {row["sub"] for row in before["person_directed_subs"]}:
                continue
            assert said not in repr(rows), (name, said)
    usernames = {row["username"] for row in after["account"]}
    assert usernames == {"boss"}


async def test_what_somebody_decided_at_an_access_server_of_the_same_database_is_nobodys(life: Life) -> None:
    row = {
        "number": 1,
        "at": 1.0,
        "kind": "approve",
        "name": "ana-there",
        "text": "fine by ana",
        "network": "192.0.2.0",
    }
    row |= {
        "network": "192.0.2.0",
        "browser": "hers",
        "method": "password",
        "version": "1",
        "round": 1,
        "stage": 1,
        "voter_key": "k",
    }
    filled: dict[str, Any] = {}
    for column in access_approvals.columns:
        if not column.nullable:
            filled[column.name] = 1 if isinstance(column.type, Integer | Float) else "a"
    async with life.site.app.database.transaction() as connection:
        await connection.execute(insert(access_approvals).values(**filled))
        approval = filled["id"]
        await connection.execute(
            insert(access_approval_entries).values(approval=approval, person_id=life.person_id, **row)
        )
    (entry,) = (await _export(life.ana))["held"]["access_approval_entries"]
    assert entry["text"] == "fine by ana"
    await life.delete()
    (entry,) = (await life.dump())["access_approval_entries"]
    assert life.person_id not in repr(entry)
    assert {entry[name] for name in ("name", "text", "network", "browser", "method")} == {""}
    assert entry["kind"] == "approve"


async def test_the_log_still_says_what_was_done(life: Life) -> None:
    before = await life.dump()
    await life.delete()
    after = await life.dump()
    kept = [row for row in after["person_audit_log"] if row["person_id"].startswith("deleted-")]
    assert len({row["person_id"] for row in kept}) == 1
    mine = [row for row in before["person_audit_log"] if row["person_id"] == life.person_id]
    assert {row["action"] for row in mine} <= {row["action"] for row in kept}
    assert "delete account" in {row["action"] for row in kept}
    agent = before["person_bindings"][0]["agent_sub"]
    assert agent not in repr(after["person_audit_log"])
    theirs = [row for row in after["person_audit_log"] if not row["person_id"].startswith("deleted-")]
    assert theirs
    assert life.person_id not in repr(theirs)


@pytest.mark.spec("#revocation-cascade", "#polling-error-codes")
async def test_agents_and_tokens_end_with_the_account(life: Life) -> None:
    waiting = await life.site.ask_person_token(resource="https://mail.example")
    await life.delete()
    issued = (await life.dump())["person_issued_tokens"]
    assert issued
    assert all(row["revoked_at"] is not None for row in issued)
    with pytest.raises(Exception, match=r"disconnected|deleted") as ended:
        await life.site.poll(waiting)
    assert type(ended.value).__name__ == "Revoked"
    assert (await life.site.ask_person_token()).status == 202
    assert (await life.ana.get("/")).headers["location"] == "/sign-in"
    assert (await life.site.browser().sign_in()).status_code == 403


async def test_the_username_is_free_for_somebody_else_who_is_nobody_of_before(life: Life) -> None:
    await life.delete()
    again = await life.site.app.accounts.create("ana", "Another Ana", password=PASSWORD)
    assert again.person_id != life.person_id
    assert await life.site.app.server.agents(again.person_id) == []


async def test_deleting_takes_the_username_and_a_recent_sign_in(life: Life) -> None:
    assert (await life.delete("boss")).status_code == 400
    await life.ana.get("/data")
    fields = life.ana.form("/data/delete") | {"username": "ana"}
    life.site.clock.now += RECENT_S + 1
    for path in ("/data/delete", "/data/export"):
        assert (await life.ana.post(path, fields)).headers["location"] == "/sign-in?next=/data"
    assert await life.site.app.accounts.account(life.person_id) is not None


async def test_the_last_administrator_of_others_cannot_just_go(life: Life) -> None:
    boss = (await life.site.app.accounts.verify_password("boss", PASSWORD)).person_id
    await life.site.app.organisations.set_role(life.person_id, boss, "member")
    assert (await life.delete()).status_code == 409
    assert "Nothing was deleted" in life.ana.text
    assert await life.site.app.accounts.account(life.person_id) is not None
    await life.site.app.organisations.remove(life.person_id, boss)
    assert (await life.delete()).status_code == 200


async def test_another_persons_data_is_out_of_reach(life: Life) -> None:
    document = await _export(life.boss)
    text = json.dumps(document)
    assert "Ana Example" not in text
    assert "ana@example.com" not in text
    assert document["person_id"] != life.person_id


# ---- encrypted at rest


async def _read_by_a_thief(life: Life) -> str:
    """Every value as it stands in the database, for whoever has a copy of it and no key."""
    found: list[str] = []
    async with life.site.app.database.reading() as connection:
        for table in schema.sorted_tables:
            for row in await connection.execute(text(f"SELECT * FROM {table.name}")):
                found += [bytes(value).decode("latin-1") if isinstance(value, bytes) else str(value) for value in row]
    return "\n".join(found)


async def _secrets_of(life: Life) -> dict[str, str]:
    """What must not be read there."""
    store = life.site.app.server.store
    assert isinstance(store, SQLPersonStore)
    found = {f"key {key.kid}": str(key.jwk["d"]) for key in await store.signing_keys.keys()}
    found["key of identifiers"] = b64url_encode(await store.directed_key(first=bytes(32)))
    words = ("Ana Example", "ana@example.com", "For Ana Example", "push.example/ana", "Ana’s phone", "Europe/Madrid")
    return found | {word: word for word in words}


async def test_a_copy_of_an_encrypted_database_holds_no_words_of_the_person_and_no_private_key(
    encryption_key: str, life: Life
) -> None:
    copy = await _read_by_a_thief(life)
    for name, secret in (await _secrets_of(life)).items():
        assert secret not in copy, name
    assert encryption_key not in copy


async def test_a_copy_of_a_database_that_is_not_encrypted_holds_them(life: Life) -> None:
    """Which is what makes the test above one."""
    copy = await _read_by_a_thief(life)
    for name, secret in (await _secrets_of(life)).items():
        assert secret in copy or secret in copy.encode("latin-1", "replace").decode("utf-8", "replace"), name


async def test_what_is_encrypted_is_copied_and_deleted_alike(encryption_key: str, life: Life) -> None:
    assert life.site.app.database.sealer.active
    await test_the_copy_has_every_row_on_the_person_and_none_on_anybody_else(life)
    await test_deleting_leaves_nothing_that_leads_to_the_person(life)
