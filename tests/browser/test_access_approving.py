"""Several people decide about one request at an access server, in Chromium: their roles, and what else they click."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from playwright.sync_api import Page, expect

from aauthlib.access import Allow, Approvers, CallablePolicy, Decision, Facts, NeedApproval, Step
from aauthlib.accounts.passwords import Passwords
from aauthlib.http import Response
from aauthlib.web.access import AccessApp, build_access_app
from tests.person.test_notifications import Letterbox
from tests.web.person_pages.parties import page_url

from .conftest import PASSWORD, Album, NewPage, World, set_up
from .test_access_pages import invite, make_account

pytestmark = [pytest.mark.browser, pytest.mark.spec("#approval-pending", "#ps-approval-endpoint-auth")]

#: Two of finance, then an administrator.
ASKED = Approvers(
    steps=(
        Step(groups=("finance",), needed=2, deadline_s=4 * 3600.0),
        Step(groups=("administrators",), deadline_s=86_400.0),
    )
)
PHONE = {"width": 390, "height": 844}


def decide(facts: Facts) -> Decision:
    return Allow() if facts.approved_by else NeedApproval(approvers=ASKED)


class Office:
    """The access server, and the people at it."""

    def __init__(self, world: World, new_page: NewPage) -> None:
        self.world, self._new_page = world, new_page
        self.url = world.ps.replace("//person.", "//access.")
        self.boss = new_page(viewport={"width": 760, "height": 640})
        self.boss.goto(self.url)
        make_account(self.boss, "Cem Demir", "cem")

    def approver(self, name: str, group: str, **options: Any) -> Page:
        """Somebody who was invited to approve, and made an account."""
        link = invite(self.boss, self.url, name, role="Approver", approves=group)
        page = self._new_page(**options)
        page.goto(link)
        make_account(page, name, name.partition(" ")[0].lower())
        return page

    def ask(self) -> Response:
        """A person allows their agent something that people here approve."""
        person = self._new_page()
        set_up(person, self.world)
        answer = self.world.ask_auth_token(person, "calendar.read", access_server=self.url)
        person.goto(page_url(answer))
        person.get_by_role("button", name="Allow", exact=True).click()
        expect(person.get_by_role("heading", level=1)).to_have_text("Allowed")
        return answer

    def review(self, page: Page) -> None:
        """Open the one request that waits."""
        page.goto(self.url)
        page.get_by_role("link", name="Review the request for calendar.localhost").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Approve access to calendar.localhost")

    def status(self, answer: Response) -> int:
        self.world.clock.ahead_s += 5
        return self.world.poll(answer).status


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "person.db")

    @asynccontextmanager
    async def opened() -> AsyncIterator[AccessApp]:
        app = await build_access_app(
            f"sqlite:///{tmp_path}/access.db",
            world.ps.replace("//person.", "//access."),
            CallablePolicy(decide, version="2026-11"),
            dev=True,
            clock=world.clock,
            accounts=True,
            passwords=Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)),
            channels=[Letterbox()],
        )
        yield app
        await app.aclose()

    world.opened_hosts["access"] = opened
    world.start()
    yield world
    world.stop()


@pytest.fixture
def office(world: World, new_page: NewPage) -> Office:
    return Office(world, new_page)


def test_people_of_two_roles_decide_one_after_the_other(office: Office, album: Album) -> None:
    finn = office.approver("Finn Berg", "finance", viewport={"width": 760, "height": 640})
    fay = office.approver("Fay Okoro", "finance", viewport=PHONE, java_script_enabled=False)
    answer = office.ask()
    assert office.status(answer) == 202

    # The administrator is asked in the second step, but may decide in each; here they wait.
    office.review(finn)
    expect(finn.get_by_text("0 of 2 approved")).to_be_visible()
    expect(finn.get_by_text("Asked: Fay Okoro, Finn Berg")).to_be_visible()
    finn.get_by_role("button", name="Approve").click()
    expect(finn.get_by_role("status")).to_have_text("You approved the request. Others still have to.")
    expect(finn.get_by_text("Nothing is waiting for you.")).to_be_visible()
    assert office.status(answer) == 202

    # On a phone and without JavaScript.
    office.review(fay)
    expect(fay.get_by_text("just now · Chrome on Linux · signed in by password · policy 2026-11")).to_be_visible()
    album.take_view(fay, "access-approvers-phone", scripts=False)
    fay.get_by_role("button", name="Approve").click()
    expect(fay.get_by_role("status")).to_have_text("You approved the request. Others still have to.")
    assert office.status(answer) == 202

    office.review(office.boss)
    expect(office.boss.get_by_text("2 of finance · done")).to_be_visible()
    album.take(office.boss, "access-approvers")
    url = office.boss.url
    office.boss.get_by_role("button", name="Approve").click()
    expect(office.boss.get_by_role("status")).to_contain_text("You approved the request. The policy decides")
    assert office.status(answer) == 200

    finn.goto(url)
    expect(finn.get_by_text("This request was approved by finn, fay, cem")).to_be_visible()
    expect(finn.get_by_role("button", name="Approve")).to_have_count(0)
    album.take(finn, "access-approved")


def test_a_double_click_the_back_button_and_another_tab_count_once(
    office: Office, new_page: NewPage, album: Album
) -> None:
    finn = office.approver("Finn Berg", "finance", viewport=PHONE, color_scheme="dark")
    answer = office.ask()
    office.review(finn)
    assert finn.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    album.take(finn, "access-approvers-dark")
    other = finn.context.new_page()
    other.goto(finn.url)
    finn.get_by_role("button", name="Approve").dblclick()
    finn.wait_for_load_state()
    # Whichever of the two clicks the browser shows the answer to, one voice was counted.
    expect(finn.locator("main")).to_contain_text(["Others still have to.", "Your first decision stands"][0])
    finn.go_back()
    expect(finn.get_by_text("You have decided.")).to_be_visible()
    expect(finn.get_by_role("button", name="Approve")).to_have_count(0)

    other.get_by_role("button", name="Refuse").click()
    expect(other.get_by_role("alert")).to_have_text(
        "You have decided about this request already. Your first decision stands."
    )
    album.take(other, "access-decided-already")
    other.reload()  # The browser sends the form once more.
    expect(other.get_by_role("alert")).to_contain_text("Your first decision stands.")
    assert office.status(answer) == 202
    office.boss.goto(office.url)
    expect(office.boss.get_by_text("finn approved")).to_have_count(1)
    expect(office.boss.get_by_text("1 of 2 approved")).to_be_visible()


def test_a_session_that_ended_in_the_middle_decides_nothing_and_leads_back(office: Office) -> None:
    finn = office.approver("Finn Berg", "finance")
    answer = office.ask()
    office.review(finn)
    url = finn.url
    finn.context.clear_cookies()
    finn.get_by_label("Reason, if you refuse (optional)").fill("Not now.")
    finn.get_by_role("button", name="Refuse").click()
    expect(finn.get_by_role("heading", level=1)).to_have_text("You are not signed in")
    assert office.status(answer) == 202
    finn.goto(url)
    finn.get_by_label("Username").fill("finn")
    finn.get_by_label("Password").fill(PASSWORD)
    finn.get_by_role("button", name="Sign in", exact=True).click()
    expect(finn).to_have_url(url)
    finn.get_by_role("button", name="Approve").click()
    expect(finn.get_by_role("status")).to_contain_text("Others still have to.")


def test_a_role_that_was_taken_away_with_the_page_open_decides_nothing(office: Office) -> None:
    finn = office.approver("Finn Berg", "finance")
    answer = office.ask()
    office.review(finn)
    office.boss.goto(f"{office.url}/people")
    entry = office.boss.get_by_role("listitem").filter(has_text="Finn Berg").first
    entry.get_by_text("Change").click()
    entry.get_by_label("Role").select_option(label="Has agents act for them")
    entry.get_by_role("button", name="Save").click()
    expect(office.boss.get_by_role("status")).to_have_text("The role was changed.")
    finn.get_by_role("button", name="Approve").click()
    expect(finn.get_by_role("heading", level=1)).to_have_text("Not for you")
    assert office.status(answer) == 202


def test_who_decides_second_sees_that_somebody_refused_meanwhile(office: Office, album: Album) -> None:
    finn, fay = office.approver("Finn Berg", "finance"), office.approver("Fay Okoro", "finance")
    answer = office.ask()
    office.review(finn)
    office.review(fay)
    fay.get_by_label("Reason, if you refuse (optional)").fill("Not before the audit.")
    fay.get_by_role("button", name="Refuse").click()
    expect(fay.get_by_role("status")).to_have_text("You refused the request.")
    assert office.status(answer) == 403
    finn.get_by_role("button", name="Approve").click()
    expect(finn.get_by_role("heading", level=1)).to_have_text("Not for you")


def test_approvers_choose_where_they_are_told(office: Office, album: Album) -> None:
    finn = office.approver("Finn Berg", "finance", viewport=PHONE)
    finn.get_by_role("link", name="Notifications").click()
    expect(finn.get_by_role("heading", level=1)).to_have_text("Notifications")
    finn.get_by_label("Your address").fill("finn@example.org")
    finn.get_by_role("button", name="Send the code").click()
    expect(finn.get_by_role("status")).to_contain_text("A code was sent there.")
    assert finn.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    album.take(finn, "access-notifications")
