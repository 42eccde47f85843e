"""Organisations: joining, administering, and nothing of another organisation's (#person-token-org-policy)."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from aauthlib.accounts.invitations import INVITATION_LIFETIME_S
from aauthlib.accounts.sessions import RECENT_S
from aauthlib.base64url import b64url_decode
from aauthlib.person.organisation_settings import OrganisationSettings

from .conftest import PASSWORD, Browser, MakeSite, Site
from .parties import page_url

pytestmark = pytest.mark.spec("#ps-approval-endpoint-auth")

ORGANISATIONS = {"corp": OrganisationSettings(name="Corp Ltd"), "lab": OrganisationSettings(name="The <b>Lab</b>")}


@dataclass
class Town:
    """Two organisations: `ana` administers one, `lea` the other; `cem` is a member of the first."""

    site: Site
    ana: Browser
    cem: Browser
    lea: Browser

    async def id_of(self, username: str) -> str:
        account = await self.site.app.accounts.verify_password(username, PASSWORD)
        return account.person_id


async def _join(site: Site, secret: str, username: str, name: str) -> Browser:
    browser = site.browser()
    await browser.get(f"/join/{secret}")
    response = await browser.submit(
        f"/join/{secret}", display_name=name, username=username, password=PASSWORD, email=""
    )
    assert response.headers["location"] == "/?saved=joined", browser.text
    return browser


async def _invite(browser: Browser, **fields: str) -> str:
    await browser.get("/organisation")
    response = await browser.submit("/organisation/invite", **fields)
    assert response.status_code == 200, browser.text
    return browser.page.partition("/join/")[2].partition('"')[0]


@pytest.fixture
async def town(make_site: MakeSite) -> Town:
    site = await make_site(organisations=ORGANISATIONS)
    ana = await _join(site, site.app.invitations["corp"], "ana", "Ana")
    lea = await _join(site, site.app.invitations["lab"], "lea", "Lea")
    cem = await _join(site, await _invite(ana), "cem", "Cem")
    return Town(site, ana, cem, lea)


async def _connect(site: Site, browser: Browser, **body: str) -> str:
    """The browser's person connects the site's agent. Returns the person token."""
    answer = await site.ask_person_token(**body)
    response = await browser.get(page_url(answer))
    path = response.headers["location"]
    await browser.get(path)
    await browser.submit(path, decision="approve")
    token: str = (await site.poll(answer)).json()["person_token"]
    return token


def _claims(token: str) -> dict[str, object]:
    claims: dict[str, object] = json.loads(b64url_decode(token.split(".")[1]))
    return claims


# ---------------------------------------------------------------------- joining


async def test_the_first_administrator_comes_by_the_link_of_whoever_started_the_server(town: Town) -> None:
    await town.ana.get("/organisation")
    assert "Corp Ltd" in town.ana.text
    assert "Cem" in town.ana.text
    assert "Lea" not in town.ana.text
    await town.lea.get("/organisation")
    assert "<b>Lab</b>" not in town.lea.page
    assert "Cem" not in town.lea.text


async def test_an_organisation_that_has_an_administrator_offers_none(town: Town, make_site: MakeSite) -> None:
    assert await town.site.app.organisations.start() == {}


async def test_an_invitation_works_once(town: Town) -> None:
    secret = await _invite(town.ana)
    await _join(town.site, secret, "bo", "Bo")
    late = town.site.browser()
    assert (await late.get(f"/join/{secret}")).status_code == 404
    await late.get("/sign-in")
    response = await late.post(f"/join/{secret}", {"csrf": late.form("/sign-in")["csrf"], "username": "eve"})
    assert response.status_code == 404


async def test_opening_an_invitation_uses_nothing_up(town: Town) -> None:
    secret = await _invite(town.ana)
    for _ in range(3):
        assert (await town.site.browser().get(f"/join/{secret}")).status_code == 200
    await _join(town.site, secret, "bo", "Bo")


async def test_an_invitation_ends(town: Town) -> None:
    secret = await _invite(town.ana)
    town.site.clock.now += INVITATION_LIFETIME_S
    assert (await town.site.browser().get(f"/join/{secret}")).status_code == 404


async def test_an_invitation_can_be_withdrawn(town: Town) -> None:
    secret = await _invite(town.ana, note="For Bo")
    await town.ana.get("/organisation")
    assert "For Bo" in town.ana.text
    await town.ana.submit("/organisation/withdraw")
    assert (await town.site.browser().get(f"/join/{secret}")).status_code == 404


async def test_an_invitation_is_kept_as_a_digest(town: Town) -> None:
    secret = await _invite(town.ana)
    view = await town.site.app.organisations.view(await town.id_of("ana"))
    assert secret not in repr(view)


async def test_an_account_that_exists_joins_after_signing_in(town: Town) -> None:
    await town.site.app.accounts.create("bo", "Bo", password=PASSWORD)
    secret = await _invite(town.ana)
    bo = town.site.browser()
    await bo.get(f"/sign-in?next=/join/{secret}")
    response = await bo.submit("/sign-in", username="bo", password=PASSWORD)
    assert response.headers["location"] == f"/join/{secret}"
    await bo.get(f"/join/{secret}")
    assert (await bo.submit(f"/join/{secret}")).headers["location"] == "/?saved=joined"
    assert (await bo.get("/organisation")).status_code == 403


async def test_an_account_belongs_to_one_organisation(town: Town) -> None:
    secret = await _invite(town.lea)
    await town.cem.get(f"/join/{secret}")
    assert (await town.cem.submit(f"/join/{secret}")).status_code == 409
    # It was not used up by that.
    await _join(town.site, secret, "bo", "Bo")


# ---------------------------------------------------------------------- the tenant in tokens


@pytest.mark.spec("#person-token-structure", "#auth-token-structure")
async def test_tokens_of_a_member_say_the_organisation_and_of_others_nothing(town: Town) -> None:
    token = await _connect(town.site, town.cem)
    assert _claims(token)["tenant"] == "corp"
    answer = await town.site.app.server.auth_token(town.site.parties.ask_auth_token(token, "calendar.read"))
    path = (await town.cem.get(page_url(answer))).headers["location"]
    await town.cem.get(path)
    await town.cem.submit(path, decision="approve", scope="calendar.read")
    assert _claims((await town.site.poll(answer)).json()["auth_token"])["tenant"] == "corp"


@pytest.mark.spec("#person-token-structure")
async def test_tokens_of_somebody_without_an_organisation_have_no_tenant(make_site: MakeSite) -> None:
    site = await make_site(organisations=ORGANISATIONS)
    browser = site.browser()
    await browser.set_up()
    assert "tenant" not in _claims(await _connect(site, browser))


@pytest.mark.spec("#auth-token-structure", "#resource-token-verification")
async def test_no_auth_token_repeats_an_organisation_the_person_joined_or_left_since(make_site: MakeSite) -> None:
    site = await make_site(organisations=ORGANISATIONS)
    browser = site.browser()
    await browser.set_up()
    token = await _connect(site, browser)
    pending = await site.app.server.auth_token(site.parties.ask_auth_token(token, "calendar.read"))
    path = (await browser.get(page_url(pending))).headers["location"]
    await browser.get(path)
    await browser.submit(path, decision="approve", scope="calendar.read")
    secret = site.app.invitations["corp"]
    await browser.get(f"/join/{secret}")
    await browser.submit(f"/join/{secret}")
    with pytest.raises(Exception, match="organisation has changed") as late:
        await site.poll(pending)
    assert type(late.value).__name__ == "Revoked"
    with pytest.raises(Exception, match="organisation has changed") as early:
        await site.app.server.auth_token(site.parties.ask_auth_token(token, "calendar.read"))
    assert type(early.value).__name__ == "InvalidPresentedToken"


# ---------------------------------------------------------------------- administering


async def test_administrators_see_agents_and_how_many_requests_wait(town: Town) -> None:
    await _connect(town.site, town.cem)
    await town.site.ask_person_token(resource="https://mail.example")
    await town.ana.get("/organisation")
    assert "Acts for Cem" in town.ana.text
    assert "1 request waiting" in town.ana.text
    await town.lea.get("/organisation")
    assert "0 agents" in town.lea.text
    assert "0 requests waiting" in town.lea.text


async def test_a_member_sees_nothing_of_it(town: Town) -> None:
    assert (await town.cem.get("/organisation")).status_code == 403
    await town.cem.get("/")
    assert 'href="/organisation"' not in town.cem.page


async def test_roles_change_and_the_last_administrator_stays(town: Town) -> None:
    cem, ana = await town.id_of("cem"), await town.id_of("ana")
    await town.ana.get("/organisation")
    csrf = town.ana.form("/sign-out")["csrf"]
    for path in ("/organisation/role", "/organisation/remove"):
        response = await town.ana.post(path, {"csrf": csrf, "person": ana, "role": "member"})
        assert response.status_code == 409
        assert "at least one administrator" in town.ana.text
    response = await town.ana.post("/organisation/role", {"csrf": csrf, "person": cem, "role": "administrator"})
    assert response.headers["location"] == "/organisation?saved=role"
    assert (await town.cem.get("/organisation")).status_code == 200
    response = await town.ana.post("/organisation/role", {"csrf": csrf, "person": ana, "role": "member"})
    assert response.headers["location"] == "/"
    assert (await town.ana.get("/organisation")).status_code == 403
    response = await town.ana.post("/organisation/role", {"csrf": csrf, "person": cem, "role": "owner"})
    assert response.status_code == 400


@pytest.mark.spec("#agent-person-binding", "#revocation-cascade")
async def test_who_is_removed_loses_agents_tokens_and_sessions(town: Town) -> None:
    token = await _connect(town.site, town.cem)
    cem = await town.id_of("cem")
    await town.ana.get("/organisation")
    fields = {"csrf": town.ana.form("/sign-out")["csrf"], "person": cem}
    assert (await town.ana.post("/organisation/remove", fields)).status_code in (200, 303)
    assert (await town.cem.get("/")).headers["location"] == "/sign-in"
    issued = await town.site.app.server.store.issued(str(_claims(token)["jti"]))
    assert issued is not None
    assert issued.revoked_at is not None
    assert (await town.site.ask_person_token()).status == 202
    assert await town.site.app.organisations.membership(cem) is None
    # The account is still there, and belongs to nobody.
    assert (await town.cem.sign_in("cem")).status_code == 303


async def test_what_changes_who_belongs_takes_a_recent_sign_in(town: Town) -> None:
    cem = await town.id_of("cem")
    await town.ana.get("/organisation")
    fields = {"csrf": town.ana.form("/sign-out")["csrf"], "person": cem, "role": "administrator"}
    town.site.clock.now += RECENT_S + 1
    for path in ("/organisation/role", "/organisation/remove", "/organisation/invite"):
        assert (await town.ana.post(path, fields)).headers["location"] == "/sign-in?next=/organisation"
    await town.ana.get("/organisation")
    assert "/organisation/remove" not in town.ana.page
    assert (await town.cem.get("/organisation")).status_code == 403


# ---------------------------------------------------------------------- crossing


@pytest.mark.parametrize("attacker", ["lea", "cem"])
async def test_no_route_reaches_into_another_organisation_or_above_ones_role(town: Town, attacker: str) -> None:
    """Every route that names somebody or something, tried by another organisation's administrator and by a member."""
    await _connect(town.site, town.cem)
    secret = await _invite(town.ana, note="For Bo")
    ana, cem = await town.id_of("ana"), await town.id_of("cem")
    before = await town.site.app.organisations.view(ana)
    browser: Browser = getattr(town, attacker)
    await browser.get("/")
    csrf = browser.form("/sign-out")["csrf"]
    agent = before.agents[0]
    tries = [
        ("/organisation/role", {"person": cem, "role": "administrator"}),
        ("/organisation/role", {"person": ana, "role": "member"}),
        ("/organisation/remove", {"person": ana}),
        ("/organisation/remove", {"person": cem}),
        ("/organisation/disconnect", {"person": cem, "iss": agent.iss, "sub": agent.sub}),
        ("/organisation/disconnect", {"person": await town.id_of("lea"), "iss": agent.iss, "sub": agent.sub}),
        ("/organisation/withdraw", {"invitation": before.invitations[0].digest}),
    ]
    wanted = 404 if attacker == "lea" else 403
    for path, fields in tries:
        assert (await browser.post(path, {"csrf": csrf, **fields})).status_code == wanted, path
        assert "Corp" not in browser.text
    assert await town.site.app.organisations.view(ana) == before
    assert (await town.site.browser().get(f"/join/{secret}")).status_code == 200


async def test_an_invitation_makes_a_member_of_the_organisation_that_made_it_only(town: Town) -> None:
    bo = await _join(town.site, await _invite(town.lea, role="administrator"), "bo", "Bo")
    await bo.get("/organisation")
    assert "Corp Ltd" not in bo.text
    assert "Lea" in bo.text


@pytest.mark.spec("#agent-person-binding")
async def test_nobody_claims_an_agent_of_somebody_else_not_even_an_administrator(town: Town) -> None:
    await _connect(town.site, town.cem)
    answer = await town.site.ask_person_token(resource="https://mail.example")
    for browser in (town.ana, town.lea):
        assert (await browser.get(page_url(answer))).status_code == 403
        assert "belongs to somebody else" in browser.text
    assert (await town.cem.get(page_url(answer))).status_code == 303


@pytest.mark.spec("#agent-person-binding")
async def test_an_agent_moves_to_another_person_by_revocation_and_a_new_binding_only(town: Town) -> None:
    token = await _connect(town.site, town.cem)
    view = await town.site.app.organisations.view(await town.id_of("ana"))
    await town.ana.get("/organisation")
    await town.ana.submit("/organisation/disconnect")
    assert (await town.site.app.organisations.view(await town.id_of("ana"))).agents == []
    moved = await _connect(town.site, town.ana)
    assert _claims(moved)["sub"] != _claims(token)["sub"]
    assert view.agents[0].display_name == "Cem"


# ---------------------------------------------------------------------- the tenant parameter


@pytest.mark.spec("#auth-token-request", "#person-token-endpoint")
async def test_an_agent_that_asks_for_an_organisation_gets_nobody_elses_yes(town: Town) -> None:
    answer = await town.site.ask_person_token(tenant="lab")
    path = (await town.cem.get(page_url(answer))).headers["location"]
    await town.cem.get(path)
    assert (await town.cem.submit(path, decision="approve")).status_code == 403
    assert "another organisation" in town.cem.text
    assert (await town.site.poll(answer)).status == 202
    await town.cem.get(path)
    assert (await town.cem.submit(path, decision="deny")).status_code == 303


@pytest.mark.spec("#auth-token-request", "#person-token-endpoint")
async def test_an_agent_of_another_organisations_person_is_refused_at_once(town: Town) -> None:
    await _connect(town.site, town.cem)
    for tenant in ("lab", "unknown"):
        with pytest.raises(Exception, match="nobody of the organisation") as refused:
            await town.site.ask_person_token(tenant=tenant)
        assert type(refused.value).__name__ == "InvalidRequest"
    assert (await town.site.ask_person_token(tenant="corp")).status == 200
