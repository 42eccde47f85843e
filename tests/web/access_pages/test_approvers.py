"""Several people with different roles approve one request at an access server (#approval-pending).

Who is heard, what each of them sees, what is kept of it, and who is told.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aauthlib.access import Allow, Approvers, Decision, Facts, NeedApproval, NeedInteraction, Step
from aauthlib.errors import Denied
from aauthlib.http import Response
from tests.access.parties import World
from tests.person.test_notifications import Letterbox
from tests.web.person_pages.conftest import Browser

from .conftest import Office, open_office
from .test_approving import review

pytestmark = pytest.mark.spec("#as-response", "#approval-pending", "#ps-approval-endpoint-auth")

TWO_OF_FINANCE = NeedApproval("finance", needed=2)


def wants(world: World, demand: NeedApproval) -> None:
    world.policy.decide = lambda facts: Allow() if facts.approved_by else demand


@pytest.fixture
async def ana(office: Office) -> Browser:
    return await office.administrator()


@pytest.fixture
async def asked(office: Office, ana: Browser, world: World) -> Response:
    """A request that two of finance must approve."""
    wants(world, TWO_OF_FINANCE)
    return await world.ask()


async def test_two_of_a_group_approve_and_each_sees_how_it_stands(
    office: Office, world: World, asked: Response
) -> None:
    finn, fay = await office.join("finn", "approver", "finance"), await office.join("fay", "approver", "finance")
    path = await review(finn)
    assert "2 of finance · 0 of 2 approved" in finn.text
    assert "Asked: Fay , Finn" in finn.text
    await finn.submit(path, decision="approve")
    assert "Others still have to." in (await _home(finn, "?saved=counted"))
    assert "Nothing is waiting for you" in finn.text
    assert (await world.poll(asked)).status == 202
    assert await review(fay) == path
    assert "1 of 2 approved" in fay.text
    assert "finn approved just now · A browser · signed in by password · policy callable" in fay.text
    await fay.submit(path, decision="approve")
    assert (await world.poll(asked)).status == 200
    assert [(what, who) for what, who, _ in await office.decided()] == [("approved", "fay"), ("approved", "finn")]
    await finn.get(path)
    assert "This request was approved by finn, fay" in finn.text
    assert 'name="decision"' not in finn.page


async def test_of_the_address_a_decision_came_from_the_network_is_kept_and_no_more(
    office: Office, world: World, asked: Response
) -> None:
    await office.join("finn", "approver", "finance")
    finn = office.browser("203.0.113.77")
    await finn.sign_in("finn")
    path = await review(finn)
    await finn.submit(path, decision="approve")
    await finn.get(path)
    assert "from 203.0.113.0/24" in finn.text
    assert "203.0.113.77" not in finn.page


async def test_a_second_decision_of_the_same_person_is_refused(office: Office, world: World, asked: Response) -> None:
    finn = await office.join("finn", "approver", "finance")
    path = await review(finn)
    form = finn.form(path)
    assert (await finn.post(path, form | {"decision": "approve"})).status_code == 303
    for decision in ("approve", "refuse"):
        assert (await finn.post(path, form | {"decision": decision})).status_code == 409
        assert "Your first decision stands" in finn.text
    assert (await world.poll(asked)).status == 202
    assert len(await office.decided()) == 1


async def test_nobody_becomes_an_approver_by_a_username_like_a_groups_name(
    office: Office, world: World, asked: Response
) -> None:
    impostor = await office.join("finance", "approver", "legal")
    await impostor.get("/")
    assert "Nothing is waiting for you" in impostor.text
    view = (await office.app.server.approvals())[0]
    assert (await impostor.get(f"/approvals/{view.id}")).status_code == 403
    for name in ("administrators", "approvers"):
        wants(world, NeedApproval(name))
        await world.ask(world.bundle(scope=f"calendar.{name}"))
    lena = await office.join("lena", "approver", "administrators")
    await lena.get("/")
    assert "Approval of administrators" not in lena.text


async def test_people_can_be_named_by_their_username(office: Office, ana: Browser, world: World) -> None:
    wants(world, NeedApproval(approvers=("@finn",)))
    asked = await world.ask()
    fay, finn = await office.join("fay", "approver"), await office.join("finn", "approver", "legal")
    await fay.get("/")
    assert "Nothing is waiting for you" in fay.text
    await finn.submit(await review(finn), decision="approve")
    assert (await world.poll(asked)).status == 200


async def test_steps_are_taken_in_order_by_different_people(office: Office, ana: Browser, world: World) -> None:
    steps = (Step(groups=("finance",), deadline_s=3600.0), Step(groups=("administrators",), deadline_s=3600.0))
    wants(world, NeedApproval(approvers=Approvers(steps=steps)))
    asked = await world.ask()
    finn = await office.join("finn", "approver", "finance")
    path = await review(finn)
    assert "One of administrators · then" in finn.text
    await finn.submit(path, decision="approve")
    await finn.get(path)
    assert "One of finance · done" in finn.text
    assert "You have decided." in finn.text
    await ana.submit(await review(ana), decision="approve")
    assert (await world.poll(asked)).status == 200


async def test_an_administrator_who_approved_one_step_is_not_heard_at_the_next(
    office: Office, ana: Browser, world: World
) -> None:
    steps = (Step(groups=("finance",), deadline_s=3600.0), Step(groups=("legal",), deadline_s=3600.0))
    wants(world, NeedApproval(approvers=Approvers(steps=steps)))
    asked = await world.ask()
    path = await review(ana)
    form = ana.form(path)
    await ana.post(path, form | {"decision": "approve"})
    assert (await ana.post(path, form | {"decision": "approve"})).status_code == 409
    assert (await world.poll(asked)).status == 202


async def test_a_voice_counts_only_while_its_approver_may_give_it(
    office: Office, ana: Browser, world: World, asked: Response
) -> None:
    finn, fay = await office.join("finn", "approver", "finance"), await office.join("fay", "approver", "finance")
    path = await review(finn)
    await finn.submit(path, decision="approve")
    people, by = office.app.people, await office.person_id("ana")
    assert people is not None
    await people.set_role(by, await office.person_id("finn"), "person")
    await fay.submit(await review(fay), decision="approve")
    assert (await world.poll(asked)).status == 202
    assert (await finn.get(path)).status_code == 403, "who has no role any more sees nothing of it"
    await ana.submit(await review(ana), decision="approve")
    assert (await world.poll(asked)).status == 200


async def test_four_eyes_can_be_waived_and_then_one_approves_for_oneself(
    office: Office, ana: Browser, world: World
) -> None:
    def decide(facts: Facts) -> Decision:
        if facts.bound_user is None:
            return NeedInteraction()
        step = Step(groups=("approvers",), deadline_s=3600.0)
        return Allow() if facts.approved_by else NeedApproval(approvers=Approvers(steps=(step,), four_eyes=False))

    world.policy.decide = decide
    asked = await world.ask()
    confirm = (await ana.get(office.page_of(asked))).headers["location"]
    await ana.get(confirm)
    await ana.submit(confirm, decision="confirm")
    await ana.submit(await review(ana), decision="approve")
    assert (await world.poll(asked)).status == 200


async def test_a_policy_that_changed_on_the_way_is_said_on_the_page(
    office: Office, ana: Browser, world: World, asked: Response
) -> None:
    path = await review(ana)
    form = ana.form(path)
    wants(world, NeedApproval("board"))
    assert (await ana.post(path, form | {"decision": "approve"})).status_code == 409
    assert "Nothing was decided" in ana.text
    assert "One of board" in ana.text
    assert "it began anew" in ana.text
    assert await office.decided() == []


async def test_the_reason_of_a_refusal_is_on_the_page_for_who_took_part(
    office: Office, world: World, asked: Response
) -> None:
    finn, fay = await office.join("finn", "approver", "finance"), await office.join("fay", "approver", "finance")
    path = await review(finn)
    await finn.submit(path, decision="approve")
    await review(fay)
    await fay.submit(path, decision="refuse", reason="Not <b>this</b> quarter.")
    with pytest.raises(Denied):
        await world.poll(asked)
    await finn.get(path)
    assert "This request was refused by fay" in finn.text
    assert "Not &lt;b&gt;this&lt;/b&gt; quarter." in finn.page
    legal = await office.join("lena", "approver", "legal")
    assert (await legal.get(path)).status_code == 403


# ---------------------------------------------------------------------- who is told


@pytest.fixture
async def with_letters(tmp_path: Path, world: World, letterbox: Letterbox) -> AsyncIterator[Office]:
    office = await open_office(tmp_path, world, channels=[letterbox])
    yield office
    await office.close()


@pytest.fixture
def letterbox() -> Letterbox:
    return Letterbox()


async def _told_at(office: Office, letterbox: Letterbox, username: str) -> None:
    """Somebody has their letters confirmed."""
    notifier, person_id = office.app.notifier, await office.person_id(username)
    assert notifier is not None
    await notifier.subscribe(person_id, "letters", f"{username}@example.org")
    (place,) = await notifier.subscriptions(person_id)
    await notifier.confirm(person_id, place.id, letterbox.code)
    letterbox.letters.clear()


async def test_who_is_asked_is_told_and_nobody_else_is(
    with_letters: Office, world: World, letterbox: Letterbox
) -> None:
    office = with_letters
    await office.administrator()
    await office.join("finn", "approver", "finance")
    await office.join("lena", "approver", "legal")
    for username in ("ana", "finn", "lena"):
        await _told_at(office, letterbox, username)
    wants(world, NeedApproval("finance"))
    await world.ask()
    assert office.app.notifier is not None
    assert await office.app.notifier.send_due()
    ((to, title, body, url),) = letterbox.letters
    (view,) = await office.app.server.approvals()
    assert (to, title) == ("finn@example.org", "Your approval is wanted at as.example")
    assert (body, url) == ("ap.example asks to use calendar.example.", f"https://as.example/approvals/{view.id}")


async def test_where_nobody_who_is_named_is_there_administrators_are_told(
    with_letters: Office, world: World, letterbox: Letterbox
) -> None:
    office = with_letters
    ana = await office.administrator()
    await _told_at(office, letterbox, "ana")
    wants(world, NeedApproval("finance"))
    await world.ask()
    assert office.app.notifier is not None
    assert await office.app.notifier.send_due()
    await review(ana)
    assert "Nobody who is here is asked" in ana.text


async def test_the_next_step_tells_who_is_asked_then_and_what_was_decided_is_not_said(
    with_letters: Office, world: World, letterbox: Letterbox
) -> None:
    office = with_letters
    await office.administrator()
    finn, lena = await office.join("finn", "approver", "finance"), await office.join("lena", "approver", "legal")
    for username in ("finn", "lena"):
        await _told_at(office, letterbox, username)
    steps = (Step(groups=("finance",), deadline_s=3600.0), Step(groups=("legal",), deadline_s=3600.0))
    wants(world, NeedApproval(approvers=Approvers(steps=steps)))
    await world.ask()
    path = await review(finn)
    await finn.submit(path, decision="approve")
    assert office.app.notifier is not None
    await office.app.notifier.send_due()
    assert [letter[0] for letter in letterbox.letters] == ["lena@example.org"], "finn had decided before it was sent"
    letterbox.letters.clear()
    await lena.submit(await review(lena), decision="refuse")
    assert not await office.app.notifier.send_due()
    assert letterbox.letters == []


async def test_approvers_choose_where_they_are_told_on_a_page_here(with_letters: Office, letterbox: Letterbox) -> None:
    ana = await with_letters.administrator()
    await ana.get("/")
    assert 'href="/notifications"' in ana.page
    await ana.get("/notifications")
    form = ana.form("/notifications/channel")
    answer = await ana.post("/notifications/channel", form | {"to": "ana@example.org"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/notifications?saved=sent")
    assert letterbox.letters[-1][0] == "ana@example.org"
    assert (await ana.get("/notify.js")).status_code == 200


async def test_who_is_removed_is_told_nothing_any_more(
    with_letters: Office, world: World, letterbox: Letterbox
) -> None:
    office = with_letters
    await office.administrator()
    await office.join("finn", "approver", "finance")
    await _told_at(office, letterbox, "finn")
    people, notifier = office.app.people, office.app.notifier
    assert people is not None
    assert notifier is not None
    finn = await office.person_id("finn")
    wants(world, NeedApproval("finance"))
    await world.ask()
    await people.remove(await office.person_id("ana"), finn)
    assert not await notifier.send_due()
    assert await notifier.subscriptions(finn) == []


async def _home(browser: Browser, query: str) -> str:
    await browser.get("/" + query)
    return browser.text
