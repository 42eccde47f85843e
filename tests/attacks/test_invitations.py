"""Invitations, roles and organisations: guessed, replayed, widened, and used across who they are for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from aauthlib.access import NeedApproval, NeedInteraction
from aauthlib.demo.browser import ScriptedPerson
from aauthlib.store.organisation_records import LastAdministrator

from .engines import Databases
from .house import HOUSE, OFFICE, House, exactly, open_house
from .realm import PS, VAULT, Realm
from .world import PASSWORD, page_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.spec("#ps-as-trust-establishment")]
ENGINES = ("sqlite", "postgresql")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(realm: Realm, databases: Databases) -> AsyncIterator[House]:
    opened = await open_house(realm, databases)
    for tenant, name in (("north", "nora"), ("south", "stan")):
        await opened.join(f"{HOUSE}/join/{opened.house.invitations[tenant]}", name)
    yield opened


async def role_of(house: House, username: str) -> str | None:
    assert house.office.people is not None
    assert house.office.accounts is not None
    account = await house.office.accounts.verify_password(username, PASSWORD)
    person = await house.office.people.person(account.person_id)
    return person.role if person is not None else None


def form_of(browser: ScriptedPerson, username: str, **more: str) -> dict[str, str]:
    fields = dict(browser.form_with("username", "password").fields)
    return fields | {"display_name": username, "username": username, "password": PASSWORD, "email": ""} | more


async def test_an_invitation_that_two_open_at_once_is_used_by_one(house: House) -> None:
    url = await house.invite_to_office("administrator")
    browsers = [house.browser() for _ in range(4)]
    for browser in browsers:
        await browser.visit(url)
    answers = await asyncio.gather(
        *(
            exactly(browser, "POST", url, form_of(browser, f"racer{number}"), origin=OFFICE)
            for number, browser in enumerate(browsers)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [303, 404, 404, 404]
    assert house.office.people is not None
    assert house.office.accounts is not None
    by = (await house.office.accounts.verify_password("ann", PASSWORD)).person_id
    names = [person.username for person in (await house.office.people.view(by)).people]
    assert sum(name.startswith("racer") for name in names) == 1


async def test_a_used_withdrawn_or_made_up_invitation_looks_the_same(house: House) -> None:
    used, made_up = await house.invite_to_office(), f"{OFFICE}/join/{'x' * 43}"
    await house.join(used, "dora")
    seen = []
    for url in (used, made_up):
        for browser in (house.browser(), await house.signed_in(OFFICE, "dora")):
            answer = await exactly(browser, "GET", url)
            assert answer.status_code == 404
        stranger = house.browser()
        await stranger.visit(f"{OFFICE}/sign-in")
        csrf = dict(stranger.form_with("csrf").fields)["csrf"]
        answer = await exactly(stranger, "POST", url, {"csrf": csrf, "username": "eve"}, origin=OFFICE)
        seen.append((answer.status_code, answer.text.replace(csrf, "")))
    assert seen[0] == seen[1]
    assert seen[0][0] == 404


async def test_looking_at_an_invitation_uses_nothing_up_and_says_nothing_of_who_has_an_account(house: House) -> None:
    url = await house.invite_to_office()
    for method in ("GET", "HEAD", "GET"):
        assert (await exactly(house.browser(), method, url)).status_code == 200
    # Without an invitation nobody learns which names are taken.
    stranger = house.browser()
    await stranger.visit(url)
    fields = form_of(stranger, "ann")
    missing = await exactly(stranger, "POST", f"{OFFICE}/join/{'y' * 43}", fields, origin=OFFICE)
    assert missing.status_code == 404
    await house.join(url, "flora")


@pytest.mark.parametrize("extra", [{"role": "administrator"}, {"approves": ""}, {"as": "ann"}, {"first": "1"}], ids=str)
async def test_no_field_of_the_form_makes_more_of_an_invitation(house: House, extra: dict[str, str]) -> None:
    name = f"greedy{len(extra)}{next(iter(extra))}"
    url = await house.invite_to_office("person")
    browser = house.browser()
    await browser.visit(url)
    await exactly(browser, "POST", url, form_of(browser, name, **extra), origin=OFFICE)
    assert await role_of(house, name) == "person"


async def test_an_invitation_to_one_server_is_none_at_another(house: House) -> None:
    url = await house.invite_to_office("administrator")
    secret = url.rpartition("/")[2]
    for there in (f"{HOUSE}/join/{secret}", f"{HOUSE}/access/join/{secret}"):
        assert (await exactly(house.browser(), "GET", there)).status_code == 404


async def test_an_invitation_of_one_organisation_makes_no_member_of_another(house: House) -> None:
    browser = await house.signed_in(HOUSE, "nora")
    account = await house.house.accounts.verify_password("nora", PASSWORD)
    assert await house.house.server.store.tenant_of(account.person_id) == "north"
    # She administers the north; nothing that she sends names the south.
    await browser.visit(f"{HOUSE}/organisation")
    csrf = dict(browser.form_with("csrf").fields)["csrf"]
    for path in ("invite", "role", "remove", "disconnect", "withdraw"):
        fields = {"csrf": csrf, "tenant": "south", "organisation": "south", "role": "administrator", "person": "x"}
        answer = await exactly(browser, "POST", f"{HOUSE}/organisation/{path}", fields, origin=HOUSE)
        assert answer.status_code in (200, 303, 400, 404), path
    south = await house.signed_in(HOUSE, "stan")
    stan = (await house.house.accounts.verify_password("stan", PASSWORD)).person_id
    await browser.visit(f"{HOUSE}/organisation")
    assert "stan" not in browser.text
    for path in ("role", "remove"):
        fields = {"csrf": csrf, "person": stan, "role": "member"}
        answer = await exactly(browser, "POST", f"{HOUSE}/organisation/{path}", fields, origin=HOUSE)
        assert answer.status_code == 404
    assert await house.house.server.store.tenant_of(stan) == "south"
    await south.visit(f"{HOUSE}/organisation")
    assert "nora" not in south.text


async def test_who_administers_an_organisation_does_not_administer_the_access_server(house: House) -> None:
    nora = await house.signed_in(HOUSE, "nora")
    for path in ("/access/people", "/access/approvals/" + "0" * 64):
        assert (await exactly(nora, "GET", HOUSE + path)).status_code in (403, 404)
    await nora.visit(f"{HOUSE}/access/")
    csrf = dict(nora.form_with("csrf").fields)["csrf"]
    for path in ("invite", "role", "remove", "withdraw"):
        fields = {"csrf": csrf, "role": "administrator", "person": "x"}
        answer = await exactly(nora, "POST", f"{HOUSE}/access/people/{path}", fields, origin=HOUSE)
        assert answer.status_code == 403, path


@pytest.mark.spec("#approval-pending")
async def test_nobody_chooses_a_username_to_approve_what_is_anothers_to_approve(house: House) -> None:
    """Who joins chooses the username. A policy's `by` may well be a name that nobody has taken."""
    realm = house.realm
    mallory = await house.join(await house.invite_to_office("approver", ("finance",)), "legal")
    victim = await realm.city.newcomer()
    presented = await victim.person_token(VAULT)
    house.decision = NeedApproval(by="legal")
    token = realm.vault_resource_token(presented, access_server=OFFICE)
    body = {"presented_token": presented, "agent_token": victim.token, "resource_token": token}
    waiting = await realm.send(realm.as_server(PS, "aauth-person.json", "POST", f"{OFFICE}/auth-token", body))
    assert waiting.status == 202
    await mallory.visit(f"{OFFICE}/")
    assert "Review" not in mallory.text
    [view] = [each for each in await house.office.server.approvals() if each.by == "legal"]
    page = await exactly(mallory, "GET", f"{OFFICE}/approvals/{view.id}")
    assert page.status_code == 403
    csrf = dict(mallory.form_with("csrf").fields)["csrf"]
    form = {"csrf": csrf, "round": str(view.round), "decision": "approve"}
    answer = await exactly(mallory, "POST", f"{OFFICE}/approvals/{view.id}", form, origin=OFFICE)
    assert answer.status_code == 403
    # Whoever an administrator named for it gives it.
    lee = await house.join(await house.invite_to_office("approver", ("legal",)), "lee")
    await lee.visit(f"{OFFICE}/approvals/{view.id}")
    await lee.submit(lee.form_with("decision"), {}, button=("decision", "approve"))
    assert lee.status == 200


async def test_whoever_has_to_stay_keeps_what_they_confirmed(house: House) -> None:
    """The only administrator removes herself, which is refused: then nothing of it happened."""
    server, people = house.office.server, house.office.people
    assert people is not None
    assert house.office.accounts is not None
    ann = (await house.office.accounts.verify_password("ann", PASSWORD)).person_id
    for person in (await people.view(ann)).people:
        if person.role == "administrator" and person.person_id != ann:
            await people.set_role(ann, person.person_id, "person")
    await _confirm(house)
    with pytest.raises(LastAdministrator):
        await people.remove(ann, ann)
    assert [each.ps for each in await server.confirmed_by(ann)] == [PS]


async def _confirm(house: House) -> None:
    """Ann confirms a person server for herself."""
    realm = house.realm
    agent = await realm.city.newcomer()
    presented = await agent.person_token(VAULT)
    house.decision = NeedInteraction()
    token = realm.vault_resource_token(presented, access_server=OFFICE)
    body = {"presented_token": presented, "agent_token": agent.token, "resource_token": token}
    waiting = await realm.send(realm.as_server(PS, "aauth-person.json", "POST", f"{OFFICE}/auth-token", body))
    ann = await house.signed_in(OFFICE, "ann")
    await ann.visit(page_of(waiting))
    await ann.submit(ann.form_with("decision"), {}, button=("decision", "confirm"))
    assert ann.status == 200


async def test_a_name_that_was_taken_stays_taken_for_an_invitation(house: House) -> None:
    url = await house.invite_to_office()
    browser = house.browser()
    await browser.visit(url)
    for name in ("ann", "ANN", " ann "):
        answer = await exactly(browser, "POST", url, form_of(browser, name), origin=OFFICE)
        assert answer.status_code in (400, 409), name
    await house.join(url, "greta")
