"""Approvers' pages: deciding for others' agents, groups, being away. Nobody twice, for themselves, or elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from aauthlib.accounts.sessions import RECENT_S
from aauthlib.errors import Denied
from aauthlib.http import Response
from aauthlib.person.organisation_settings import OrganisationSettings
from aauthlib.person.policy_rules import PersonRules

from .conftest import PASSWORD, Browser, MakeSite, Site
from .parties import page_url

pytestmark = [pytest.mark.spec("#approval-pending"), pytest.mark.spec("#ps-approval-endpoint-auth")]

ORGANISATIONS = {"corp": OrganisationSettings(name="Corp Ltd"), "lab": OrganisationSettings(name="The Lab")}
RULE = """
version = "7"
[[rule]]
name = "two of finance"
decision = "approvers"
ask_person = {asks}
[rule.when]
tenant = "corp"
kind = ["person_token", "auth_token", "permission"]
[[rule.step]]
groups = ["finance"]
needed = {needed}
"""
EVIL = "<script>alert(1)</script>"


@dataclass
class Firm:
    """Ana administers; Bo and Cem and Dee are members; Ana, Bo and Dee are of finance. Lea administers elsewhere.

    The agent is Cem's.
    """

    site: Site
    people: dict[str, Browser]

    def __getattr__(self, name: str) -> Any:
        return self.people[name]

    async def ask(self, **body: Any) -> tuple[Response, str]:
        """Cem's agent asks, and Cem goes to where it leads. Returns its answer and the approval's page."""
        answer = await self.site.ask_person_token(**body)
        if "interaction" in (answer.headers.get("aauth-requirement") or ""):
            await self.cem.get((await self.cem.get(page_url(answer))).headers["location"])
            path = self.cem.page.partition('action="/requests/')[2].partition('"')[0]
            await self.cem.submit(f"/requests/{path}", decision="approve")
        return answer, await self.page()

    async def page(self) -> str:
        (approval,) = await self.site.app.server.store.waiting_approvals()
        return f"/approvals/{approval.id}"

    async def decide(self, who: str, path: str, **fields: str) -> Any:
        browser = self.people[who]
        await browser.get(path)
        return await browser.submit(path, **fields)


async def _join(site: Site, secret: str, username: str) -> Browser:
    browser = site.browser()
    await browser.get(f"/join/{secret}")
    fields = {"display_name": username.title(), "username": username, "password": PASSWORD, "email": ""}
    assert (await browser.submit(f"/join/{secret}", **fields)).headers["location"] == "/?saved=joined"
    return browser


async def _id(site: Site, username: str) -> str:
    return (await site.app.accounts.verify_password(username, PASSWORD)).person_id


def follow(site: Site, *, asks: bool = True, needed: int = 2) -> None:
    site.app.server.rules = PersonRules.read(RULE.format(asks=str(asks).lower(), needed=needed))


@pytest.fixture
async def firm(make_site: MakeSite) -> Firm:
    site = await make_site(organisations=ORGANISATIONS, policy=PersonRules.read(RULE.format(asks="true", needed=2)))
    invitations = site.app.invitations
    people = {
        "ana": await _join(site, invitations["corp"], "ana"),
        "lea": await _join(site, invitations["lab"], "lea"),
    }
    for name in ("bo", "cem", "dee"):
        await people["ana"].get("/organisation")
        await people["ana"].submit("/organisation/invite")
        secret = people["ana"].page.partition("/join/")[2].partition('"')[0]
        people[name] = await _join(site, secret, name)
    for name in ("ana", "bo", "dee"):
        await site.app.organisations.add_to_group(await _id(site, "ana"), await _id(site, name), "finance")
    return Firm(site, people)


async def test_two_approvers_decide_and_everybody_sees_who_and_by_which_policy(firm: Firm) -> None:
    answer, path = await firm.ask(justification="To **plan** your week.")
    await firm.bo.get("/")
    assert "Waiting for your approval" in firm.bo.text
    await firm.bo.get("/approvals")
    assert f'href="{path}"' in firm.bo.page
    assert "asks to act as Cem at calendar.example" in firm.bo.text
    await firm.bo.get(path)
    assert "0 of 2 approved" in firm.bo.text
    assert "In the words of calendar.example" in firm.bo.text
    assert "Nobody has checked them" in firm.bo.text
    assert 'class="panel claims"' in firm.bo.page.partition("What the agent claims")[0].rpartition("<section")[2]
    assert (await firm.decide("bo", path, decision="approve", comment="Fine.")).headers["location"].endswith("approved")
    await firm.cem.get(path)
    assert "1 of 2 approved" in firm.cem.text
    assert "Still to decide: Ana , Dee ." in firm.cem.text
    assert (await firm.site.poll(answer)).status == 202
    await firm.decide("dee", path, decision="approve")
    granted = await firm.site.poll(answer)
    assert granted.status == 200
    await firm.cem.get(path)
    version = firm.site.app.server.rules.version
    for words in ("Bo approved", "Fine.", "Dee approved", "signed in with a password", f"policy {version}"):
        assert words in firm.cem.text
    await firm.bo.get("/approvals")
    assert "Approved just now" in firm.bo.text


async def test_the_person_sees_at_home_what_waits_for_whom_and_the_log_has_where_they_agreed_from(firm: Firm) -> None:
    _, path = await firm.ask()
    await firm.cem.get("/")
    assert "Waiting for others" in firm.cem.text
    assert "Waits for 2 of finance" in firm.cem.text
    history = await firm.site.app.server.history(await _id(firm.site, "cem"))
    (said,) = [each for each in history if each.action == "approve person_token"]
    assert said.result == "agreed"
    assert (said.details["policy"], said.details["method"]) == (firm.site.app.server.rules.version, "password")
    for who in ("bo", "dee"):
        await firm.decide(who, path, decision="approve")
    await firm.cem.get("/")
    assert "Waits for" not in firm.cem.text


async def test_a_request_that_waits_for_approvers_shows_no_form_to_the_person(firm: Firm) -> None:
    answer = await firm.site.ask_person_token()
    here = (await firm.cem.get(page_url(answer))).headers["location"]
    await firm.cem.get(here)
    assert "After you, others have to agree: 2 of finance." in firm.cem.text
    await firm.cem.submit(here, decision="approve")
    shown = await firm.cem.get(here)
    assert shown.headers["location"] == await firm.page()
    for who in ("bo", "dee"):
        await firm.decide(who, shown.headers["location"], decision="approve")
    await firm.cem.get(here)
    assert "two of finance" in firm.cem.text
    assert f'href="{shown.headers["location"]}"' in firm.cem.page


async def test_a_no_ends_it_and_the_agent_hears_why(firm: Firm) -> None:
    answer, path = await firm.ask()
    await firm.decide("bo", path, decision="deny", comment="Not now.")
    with pytest.raises(Denied, match="Not now"):
        await firm.site.poll(answer)
    await firm.dee.get(path)
    assert "Declined. There is nothing left to decide." in firm.dee.text
    assert 'name="decision"' not in firm.dee.page


async def test_a_second_click_changes_nothing(firm: Firm) -> None:
    _, path = await firm.ask()
    await firm.bo.get(path)
    form = firm.bo.form(path)
    for _ in range(2):
        await firm.bo.post(path, form | {"decision": "approve"})
    await firm.bo.get(path)
    assert "1 of 2 approved" in firm.bo.text
    assert "You have decided." in firm.bo.text
    assert 'value="approve"' not in firm.bo.page


async def test_nobody_approves_for_their_own_agent(firm: Firm) -> None:
    site = firm.site
    await site.app.organisations.add_to_group(await _id(site, "ana"), await _id(site, "cem"), "finance")
    _, path = await firm.ask()
    await firm.cem.get(path)
    assert 'value="approve"' not in firm.cem.page
    refused = await firm.cem.post(path, firm.cem.form(path) | {"decision": "approve"})
    assert refused.status_code == 403
    assert "It is not for you to decide." in firm.cem.text
    await firm.bo.get(path)
    assert "0 of 2 approved" in firm.bo.text


async def test_nobody_of_another_organisation_sees_decides_or_comments(firm: Firm) -> None:
    site = firm.site
    await site.app.organisations.add_to_group(await _id(site, "lea"), await _id(site, "lea"), "finance")
    _, path = await firm.ask()
    assert (await firm.lea.get(path)).status_code == 404
    await firm.lea.get("/approvals")
    csrf = firm.lea.form("/sign-out")["csrf"]
    for decision in ("approve", "deny", "comment", "take-back"):
        fields = {"csrf": csrf, "round": "1", "decision": decision, "comment": "x"}
        assert (await firm.lea.post(path, fields)).status_code == 404
    await firm.bo.get(path)
    assert "0 of 2 approved" in firm.bo.text


@pytest.mark.parametrize(
    "path", ["/approvals/away", "/approvals/back", "/organisation/groups/add", "/organisation/groups/remove", "page"]
)
async def test_a_form_of_another_site_changes_nothing(firm: Firm, path: str) -> None:
    _, page = await firm.ask()
    path = page if path == "page" else path
    await firm.ana.get(page)
    fields = firm.ana.form(page) | {"decision": "approve", "group": "finance", "person": await _id(firm.site, "cem")}
    assert (await firm.ana.post(path, fields, sec_fetch_site="cross-site")).status_code == 403
    assert (await firm.ana.post(path, fields | {"csrf": "x"})).status_code == 403
    await firm.ana.get(page)
    assert "0 of 2 approved" in firm.ana.text


async def test_a_page_that_the_policy_overtook_decides_nothing(firm: Firm) -> None:
    _, path = await firm.ask()
    await firm.bo.get(path)
    form = firm.bo.form(path)
    follow(firm.site, needed=1)
    late = await firm.bo.post(path, form | {"decision": "approve"})
    assert late.status_code == 409
    assert "The policy changed while you were looking" in firm.bo.text
    await firm.decide("bo", path, decision="approve")
    await firm.bo.get(path)
    assert "Approved." in firm.bo.text


@pytest.mark.parametrize(
    "changes", [{"decision": ""}, {"decision": "none"}, {"round": "x"}, {"round": ""}, {"comment": "x" * 1001}], ids=str
)
async def test_a_form_that_is_not_complete_decides_nothing(firm: Firm, changes: dict[str, str]) -> None:
    _, path = await firm.ask()
    assert (await firm.decide("bo", path, **{"decision": "approve", **changes})).status_code == 400
    await firm.bo.get(path)
    assert "0 of 2 approved" in firm.bo.text


@pytest.mark.spec("#untrusted-input")
async def test_nobodys_words_become_markup(firm: Firm) -> None:
    _, path = await firm.ask(justification=EVIL)
    await firm.decide("bo", path, decision="comment", comment=EVIL)
    await firm.decide("ana", path, decision="approve", comment=EVIL)
    await firm.dee.get(path)
    assert EVIL not in firm.dee.page
    assert firm.dee.page.count("&lt;script&gt;") >= 2


async def test_the_person_takes_the_request_back(firm: Firm) -> None:
    _, path = await firm.ask()
    await firm.decide("cem", path, decision="take-back")
    await firm.cem.get(path)
    assert "Cem took it back" in firm.cem.text
    await firm.bo.get("/approvals")
    assert "Nobody waits for you." in firm.bo.text


async def test_what_the_policy_refuses_cannot_be_allowed_on_the_page(firm: Firm) -> None:
    answer = await firm.site.ask_person_token()
    here = (await firm.cem.get(page_url(answer))).headers["location"]
    firm.site.app.server.rules = PersonRules.read('[[rule]]\ndecision = "deny"\nreason = "Not at work."')
    await firm.cem.get(here)
    assert "The policy of this server refuses this. Not at work." in firm.cem.text
    refused = await firm.cem.submit(here, decision="approve")
    assert refused.status_code == 403
    assert (await firm.cem.submit(here, decision="deny")).status_code == 303


async def test_after_signing_in_one_is_where_the_message_led(firm: Firm) -> None:
    _, path = await firm.ask()
    browser = firm.site.browser()
    there = (await browser.get(path)).headers["location"]
    await browser.get(there)
    response = await browser.submit("/sign-in", username="bo", password=PASSWORD)
    assert response.headers["location"] == path


# ---------------------------------------------------------------------- being away


async def test_while_somebody_is_away_another_decides_in_their_place(firm: Firm) -> None:
    today = datetime.fromtimestamp(firm.site.clock.now, UTC).date().isoformat()
    await firm.bo.get("/approvals")
    fields = {"delegate": await _id(firm.site, "cem"), "from": today, "until": today}
    csrf = firm.bo.form("/approvals/away")
    assert (await firm.bo.post("/approvals/away", csrf | fields)).headers["location"] == "/approvals?saved=away"
    # Cem decides for others, never for his own agent.
    _, path = await firm.ask()
    await firm.cem.get(path)
    assert 'value="approve"' not in firm.cem.page
    await firm.bo.get("/approvals")
    assert f"Cem decides in your place from {today} to {today}." in firm.bo.text
    await firm.bo.submit("/approvals/back")
    await firm.bo.post("/approvals/away", csrf | fields | {"delegate": await _id(firm.site, "ana")})
    await firm.ana.get("/approvals")
    assert (await firm.decide("ana", path, decision="approve")).status_code == 303
    await firm.ana.get(path)
    assert "1 of 2 approved" in firm.ana.text


@pytest.mark.parametrize(
    "changes",
    [{"until": "2020-01-01"}, {"from": "x"}, {"until": ""}, {"until": "9999-12-31"}, {"delegate": "nobody"}],
    ids=str,
)
async def test_days_that_make_no_sense_are_refused(firm: Firm, changes: dict[str, str]) -> None:
    today = datetime.fromtimestamp(firm.site.clock.now, UTC).date().isoformat()
    await firm.bo.get("/approvals")
    fields = {"delegate": await _id(firm.site, "dee"), "from": today, "until": today, **changes}
    assert (await firm.bo.post("/approvals/away", firm.bo.form("/approvals/away") | fields)).status_code == 400
    assert (await firm.site.app.server.absence(await _id(firm.site, "bo"))) is None


async def test_nobody_of_another_organisation_is_a_delegate(firm: Firm) -> None:
    await firm.bo.get("/approvals")
    assert "Lea" not in firm.bo.page
    today = datetime.fromtimestamp(firm.site.clock.now, UTC).date().isoformat()
    fields = {"delegate": await _id(firm.site, "lea"), "from": today, "until": today}
    assert (await firm.bo.post("/approvals/away", firm.bo.form("/approvals/away") | fields)).status_code == 400


# ---------------------------------------------------------------------- groups


async def test_administrators_say_who_is_in_the_groups_that_the_policy_names(firm: Firm) -> None:
    await firm.ana.get("/organisation/groups")
    assert "finance" in firm.ana.text
    cem = await _id(firm.site, "cem")
    fields = firm.ana.form("/organisation/groups/add") | {"person": cem}
    assert (await firm.ana.post("/organisation/groups/add", fields)).headers["location"].endswith("saved=added")
    await firm.ana.get("/organisation/groups")
    assert "Remove Cem from finance" in firm.ana.text
    await firm.ana.post("/organisation/groups/remove", fields)
    await firm.ana.get("/organisation/groups")
    assert "Remove Cem from finance" not in firm.ana.text


async def test_who_is_taken_out_of_the_group_has_no_say_and_what_they_said_counts_no_more(firm: Firm) -> None:
    _, path = await firm.ask()
    await firm.decide("bo", path, decision="approve")
    await firm.ana.get("/organisation/groups")
    fields = firm.ana.form("/organisation/groups/remove") | {"person": await _id(firm.site, "bo")}
    await firm.ana.post("/organisation/groups/remove", fields)
    await firm.ana.get(path)
    assert "0 of 2 approved" in firm.ana.text
    assert "Bo approved (counts no more)" in firm.ana.text


async def test_groups_are_for_administrators_of_that_organisation_who_have_signed_in_lately(firm: Firm) -> None:
    assert (await firm.bo.get("/organisation/groups")).status_code == 403
    cem = await _id(firm.site, "cem")
    await firm.bo.get("/approvals")
    fields = {"csrf": firm.bo.form("/sign-out")["csrf"], "group": "finance", "person": cem}
    assert (await firm.bo.post("/organisation/groups/add", fields)).status_code == 403
    await firm.lea.get("/organisation/groups")
    fields["csrf"] = firm.lea.form("/sign-out")["csrf"]
    for action in ("add", "remove"):
        assert (await firm.lea.post(f"/organisation/groups/{action}", fields)).status_code == 404
    await firm.ana.get("/organisation/groups")
    fields["csrf"] = firm.ana.form("/sign-out")["csrf"]
    for group in ("administrators", "unheard of"):
        assert (await firm.ana.post("/organisation/groups/add", fields | {"group": group})).status_code == 404
    firm.site.clock.now += RECENT_S + 1
    answer = await firm.ana.post("/organisation/groups/add", fields)
    assert answer.headers["location"] == "/sign-in?next=/organisation/groups"
    assert (await firm.site.app.organisations.groups(await _id(firm.site, "ana"))).groups[0].members


async def test_without_a_policy_nothing_speaks_of_approvals(site: Site, browser: Browser) -> None:
    await browser.get("/")
    assert "/approvals" not in browser.page
