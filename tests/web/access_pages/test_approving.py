"""Requests that wait for an approval at the access server (#requirement-responses, Approval Pending)."""

from __future__ import annotations

import pytest

from aauthlib.access import Allow, AskClaims, Decision, Facts, NeedApproval, NeedInteraction
from aauthlib.errors import Denied
from aauthlib.http import Response
from tests.access.parties import World
from tests.web.person_pages.conftest import Browser

from .conftest import Office

pytestmark = pytest.mark.spec("#as-response", "#approval-pending")


def wanting(by: str = "") -> object:
    return lambda facts: Allow() if facts.approved_by else NeedApproval(by)


@pytest.fixture
async def ana(office: Office) -> Browser:
    return await office.administrator()


@pytest.fixture
async def asked(office: Office, ana: Browser, world: World) -> Response:
    """A request that waits for the approval of the owner of the calendar."""
    world.policy.decide = wanting("owner")
    return await world.ask()


async def review(browser: Browser) -> str:
    """The path of the one request that the list shows."""
    await browser.get("/")
    (path,) = {part.partition('"')[0] for part in browser.page.split('href="')[1:] if part.startswith("/approvals/")}
    await browser.get(path)
    return path


async def test_an_approval_lets_the_policy_go_on_and_says_who_and_when(
    office: Office, ana: Browser, world: World, asked: Response
) -> None:
    path = await review(ana)
    assert "aauth:helper@ap.example" in ana.text
    assert "calendar.read" in ana.text
    at = world.clock()
    assert (await ana.submit(path, decision="approve")).status_code == 303
    assert (await world.poll(asked)).status == 200
    assert world.policy.seen[-1].approved_by == "ana"
    assert await office.decided() == [("approved", "ana", at)]
    await ana.get("/")
    assert "ana approved aauth:helper@ap.example" in ana.text


async def test_a_refusal_reaches_the_person_server_with_its_reason(
    office: Office, ana: Browser, world: World, asked: Response
) -> None:
    path = await review(ana)
    await ana.submit(path, decision="refuse", reason="Not before the audit.")
    with pytest.raises(Denied, match="Not before the audit"):
        await world.poll(asked)
    (record,) = await office.app.server.store.history(by_people=True)
    assert (record.decision, record.decided_by, record.reason) == ("refused", "ana", "Not before the audit.")


async def test_an_approver_decides_what_is_theirs_and_sees_nothing_else(
    office: Office, ana: Browser, world: World, asked: Response
) -> None:
    finance, owner = await office.join("finn", "approver", "finance"), await office.join("olga", "approver", "owner")
    path = await review(owner)
    await finance.get("/")
    assert "Nothing is waiting for you" in finance.text
    assert (await finance.get(path)).status_code == 403
    token = await _csrf(finance)
    assert (await finance.post(path, {"csrf": token, "round": "1", "decision": "approve"})).status_code == 403
    assert (await world.poll(asked)).status == 202
    await owner.submit(path, decision="approve")
    assert (await world.poll(asked)).status == 200


async def test_an_approver_without_names_gives_every_approval(office: Office, world: World, asked: Response) -> None:
    anybody = await office.join("ada", "approver")
    await anybody.submit(await review(anybody), decision="approve")
    assert (await world.poll(asked)).status == 200


async def test_somebody_without_the_role_neither_sees_nor_decides(
    office: Office, ana: Browser, world: World, asked: Response
) -> None:
    path, bo = await review(ana), await office.join("bo")
    await bo.get("/")
    assert "Waiting for approval" not in bo.text
    assert (await bo.get(path)).status_code == 403
    refused = await bo.post(path, {"csrf": await _csrf(bo), "round": "1", "decision": "refuse"})
    assert refused.status_code == 403
    stranger = office.browser()
    assert (await stranger.get(path)).headers["location"].startswith("/sign-in")
    assert (await world.poll(asked)).status == 202


async def test_a_role_that_was_taken_away_counts_at_once(
    office: Office, ana: Browser, world: World, asked: Response
) -> None:
    olga = await office.join("olga", "approver", "owner")
    path = await review(olga)
    assert office.app.people is not None
    await office.app.people.set_role(await office.person_id("ana"), await office.person_id("olga"), "person")
    assert (await olga.submit(path, decision="approve")).status_code == 403
    assert (await world.poll(asked)).status == 202


async def test_nobody_approves_what_is_asked_for_themselves(office: Office, ana: Browser, world: World) -> None:
    def decide(facts: Facts) -> Decision:
        if facts.bound_user is None:
            return NeedInteraction()
        return Allow() if facts.approved_by else NeedApproval()

    world.policy.decide = decide
    asked = await world.ask()
    confirm = (await ana.get(office.page_of(asked))).headers["location"]
    await ana.get(confirm)
    await ana.submit(confirm, decision="confirm")
    path = await review(ana)
    assert "somebody else has to approve it" in ana.text
    assert (await ana.submit(path, decision="approve")).status_code == 403
    assert (await world.poll(asked)).status == 202
    olga = await office.join("olga", "approver")
    await review(olga)
    assert "Ana Example , who confirmed here" in olga.text
    await olga.submit(path, decision="approve")
    assert (await world.poll(asked)).status == 200


async def test_a_form_of_another_site_decides_nothing(ana: Browser, world: World, asked: Response) -> None:
    path = await review(ana)
    form = ana.form(path) | {"decision": "approve"}
    refused = [
        await ana.post(path, form, origin="https://evil.example"),
        await ana.post(path, form, sec_fetch_site="cross-site"),
        await ana.post(path, form | {"csrf": "x"}),
    ]
    assert [answer.status_code for answer in refused] == [403, 403, 403]
    assert (await world.poll(asked)).status == 202


async def test_a_decision_is_about_the_round_that_was_on_the_page(ana: Browser, world: World, asked: Response) -> None:
    path = await review(ana)
    assert (await ana.submit(path, decision="approve", round="7")).status_code == 409
    assert "Nothing was decided" in ana.text
    assert (await world.poll(asked)).status == 202


async def test_a_form_that_was_changed_decides_nothing(ana: Browser, world: World, asked: Response) -> None:
    path = await review(ana)
    form = ana.form(path) | {"decision": "approve"}
    for fields in ({"decision": "none"}, {"decision": ""}, {"round": "x"}, {"round": "9" * 40}, {"round": "²"}):
        assert (await ana.post(path, form | fields)).status_code == 400
    assert (await world.poll(asked)).status == 202


async def test_a_second_click_changes_nothing(ana: Browser, world: World, asked: Response) -> None:
    path = await review(ana)
    form = ana.form(path)
    await ana.post(path, form | {"decision": "approve"})
    assert (await ana.post(path, form | {"decision": "refuse"})).status_code == 410
    assert (await world.poll(asked)).status == 200


async def test_what_nobody_approved_in_time_is_over(ana: Browser, world: World, asked: Response) -> None:
    path = await review(ana)
    form = ana.form(path)
    world.clock.now += 86_400
    assert (await ana.post(path, form | {"decision": "approve"})).status_code == 410
    await ana.get("/")
    assert "Nothing is waiting for you" in ana.text


@pytest.mark.spec("#untrusted-input")
async def test_what_a_person_server_says_is_shown_as_its_words_and_as_text(ana: Browser, world: World) -> None:
    def decide(facts: Facts) -> Decision:
        if not facts.claims_asked:
            return AskClaims(("name", "groups"))
        return Allow() if facts.approved_by else NeedApproval()

    world.policy.decide = decide
    first = await world.ask()
    hostile = "<script>alert(1)</script>\u202e"
    await world.post(first, {"name": hostile, "groups": ["staff", hostile]})
    await review(ana)
    words = ana.text.partition("In the words of")[2]
    assert "<script>alert(1)</script>" in words
    assert "<script>alert" not in ana.page
    assert "\u202e" not in ana.page


async def _csrf(browser: Browser) -> str:
    await browser.get("/security")
    return browser.form("/sign-out")["csrf"]
