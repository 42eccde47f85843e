"""Who belongs to an access server: the first administrator, invitations, roles (#ps-as-trust-establishment)."""

from __future__ import annotations

from pathlib import Path

import pytest

from aauthlib.access import Allow, NeedInteraction
from aauthlib.accounts.invitations import INVITATION_LIFETIME_S
from aauthlib.accounts.sessions import RECENT_S
from aauthlib.errors import ConfigurationError
from aauthlib.store.accounts import SQLAccountStore
from aauthlib.web.access import build_access_app
from tests.access.parties import AS, World
from tests.web.person_pages.conftest import PASSWORD

from .conftest import Office, open_office

pytestmark = pytest.mark.spec("#ps-as-trust-establishment")
NEW = {"display_name": "Bo", "username": "bo", "password": PASSWORD, "email": ""}


async def _role(office: Office, username: str) -> str | None:
    assert office.app.people is not None
    person = await office.app.people.person(await office.person_id(username))
    return person.role if person is not None else None


async def test_the_first_account_takes_the_code_of_whoever_started_the_server(tmp_path: Path, world: World) -> None:
    office = await open_office(tmp_path, world, setup_code_required=True)
    browser, code = office.browser(), office.app.setup_code
    assert code is not None
    assert (await browser.set_up(setup_code="AAAA")).status_code == 400
    assert (await browser.set_up(setup_code=code)).status_code == 303
    assert await _role(office, "ana") == "administrator"
    assert (await office.browser().get("/setup")).headers["location"] == "/sign-in"
    await browser.client.aclose()
    await office.app.aclose()


async def test_accounts_without_an_administrator_are_offered_one_at_start(tmp_path: Path, world: World) -> None:
    before = await open_office(tmp_path, world)
    assert before.app.invitation is None
    assert before.app.accounts is not None
    account, _ = await before.app.accounts.prepare("ana", "Ana Example", password=PASSWORD)
    await SQLAccountStore(before.app.database).create_account(account, first=True)
    await before.app.aclose()
    office = await open_office(tmp_path, world)
    browser = office.browser()
    await browser.sign_in()
    await browser.get("/")
    assert "Your account has no role at this server" in browser.text
    assert (await browser.get("/people")).status_code == 403
    path = f"/join/{office.app.invitation}"
    await browser.get(path)
    assert (await browser.submit(path)).status_code == 303
    assert await _role(office, "ana") == "administrator"
    await browser.client.aclose()
    await office.app.aclose()


async def test_an_administrator_invites_an_approver_who_makes_an_account(office: Office) -> None:
    ana, bo = await office.administrator(), office.browser()
    await ana.get("/people")
    await ana.submit("/people/invite", note="For Bo", role="approver", approves="finance, owner, finance,")
    path = ana.page.partition(AS)[2].partition('"')[0]
    assert path.startswith("/join/")
    await bo.get(path)
    assert "You were invited to approve requests" in bo.text
    assert (await bo.submit(path, **NEW)).status_code == 303
    assert office.app.people is not None
    person = await office.app.people.person(await office.person_id("bo"))
    assert person is not None
    assert (person.role, person.approves) == ("approver", ("finance", "owner"))
    assert (await office.browser().get(path)).status_code == 404, "it works once"


async def test_an_invitation_ends_and_can_be_withdrawn(office: Office, world: World) -> None:
    ana, first, second = await office.administrator(), await office.invite("person"), await office.invite("person")
    await ana.get("/people")
    withdrawn = ana.form("/people/withdraw")
    await ana.submit("/people/withdraw")
    visitor = office.browser()
    statuses = [(await visitor.get(path)).status_code for path in (first, second)]
    assert sorted(statuses) == [200, 404]
    assert (await ana.post("/people/withdraw", withdrawn)).status_code == 404
    world.clock.now += INVITATION_LIFETIME_S
    assert [(await visitor.get(path)).status_code for path in (first, second)] == [404, 404]


async def test_a_bad_field_of_the_form_does_not_use_the_invitation_up(office: Office) -> None:
    await office.administrator()
    path, bo = await office.invite("person"), office.browser()
    for fields in (NEW | {"password": "short"}, NEW | {"username": "Bo Bo"}, NEW | {"username": "ana"}):
        await bo.get(path)
        assert (await bo.submit(path, **fields)).status_code in (400, 409)
        assert "one field needs a change" in bo.text
    await bo.get(path)
    assert (await bo.submit(path, **NEW)).status_code == 303


async def test_administering_is_for_administrators(office: Office) -> None:
    await office.administrator()
    for name, role in (("bo", "person"), ("olga", "approver")):
        browser = await office.join(name, role)
        assert (await browser.get("/people")).status_code == 403
        await browser.get("/security")
        form = {"csrf": browser.form("/sign-out")["csrf"], "person": await office.person_id(name)}
        for path, more in (
            ("/people/role", {"role": "administrator"}),
            ("/people/invite", {"role": "administrator"}),
            ("/people/remove", {}),
            ("/people/withdraw", {"invitation": "x"}),
        ):
            assert (await browser.post(path, form | more)).status_code == 403
        assert await _role(office, name) == role


async def test_what_changes_who_belongs_takes_a_recent_sign_in(office: Office, world: World) -> None:
    ana = await office.administrator()
    await office.join("bo")
    await ana.get("/people")
    form = {"csrf": ana.form("/people/invite")["csrf"], "person": await office.person_id("bo"), "role": "approver"}
    world.clock.now += RECENT_S + 1
    for path in ("/people/role", "/people/remove", "/people/invite"):
        assert (await ana.post(path, form)).headers["location"] == "/sign-in?next=/people"
    assert await _role(office, "bo") == "person"


async def test_the_last_administrator_stays(office: Office) -> None:
    ana = await office.administrator()
    await ana.get("/people")
    person = {"person": await office.person_id("ana")}
    assert (await ana.submit("/people/role", role="person", **person)).status_code == 409
    assert (await ana.submit("/people/remove", **person)).status_code == 409
    assert await _role(office, "ana") == "administrator"


async def test_who_is_removed_loses_the_account_and_what_it_confirmed(office: Office, world: World) -> None:
    ana, bo = await office.administrator(), await office.join("bo")
    world.policy.decide = lambda facts: Allow() if facts.bound_user else NeedInteraction()
    asked = await world.ask()
    page = (await bo.get(office.page_of(asked))).headers["location"]
    await bo.get(page)
    await bo.submit(page, decision="confirm")
    token = await world.token_of(await world.poll(asked))
    await ana.get("/people")
    await ana.submit("/people/remove", person=await office.person_id("bo"))
    assert (await bo.get("/")).headers["location"] == "/sign-in"
    assert (await world.ask()).status == 202
    record = await office.app.server.store.issued(token.jti)
    assert record is not None
    assert record.revoked_at is not None


async def test_no_role_is_made_up(office: Office) -> None:
    ana = await office.administrator()
    await ana.get("/people")
    assert (await ana.submit("/people/invite", role="owner")).status_code == 400
    await ana.get("/people")
    assert (await ana.submit("/people/role", person="nobody", role="approver")).status_code == 404


async def test_accounts_and_a_sign_in_of_the_application_exclude_each_other(tmp_path: Path, world: World) -> None:
    async def sign_in(username: str, password: str) -> str | None:
        return None

    with pytest.raises(ConfigurationError, match="not with both"):
        await build_access_app(f"sqlite:///{tmp_path}/x.db", AS, world.server.decider, accounts=True, sign_in=sign_in)
