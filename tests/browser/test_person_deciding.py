"""Consent in a real browser, and what the agent is told."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.web.person_pages.parties import invitation, page_url

from .conftest import NewPage, World, set_up, sign_in

pytestmark = pytest.mark.browser


#: Submits a form made by a script to a URL.
_POST = """([url, fields]) => {
    const form = document.createElement("form");
    [form.method, form.action, form.innerHTML] = ["post", url, fields];
    document.body.append(form);
    form.submit();
}"""


def _allow(page: Page) -> None:
    page.get_by_role("button", name="Allow", exact=True).click()


def _scrolls_sideways(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


@pytest.mark.spec("#ps-response", "#consent-presentation")
def test_after_approval_the_agents_poll_brings_the_token(ana: Page, world: World) -> None:
    answer = world.ask_auth_token(ana, justification="Find a free hour for lunch.", device="Chrome on Linux")
    ana.goto(page_url(answer))
    expect(ana.get_by_role("heading", level=1)).to_contain_text("use calendar.localhost")
    resource = ana.get_by_role("region", name="What the resource says")
    claims = ana.get_by_role("region", name="What the agent claims")
    expect(resource).to_contain_text("See all your events")
    expect(claims).to_contain_text("Find a free hour for lunch.")
    expect(resource).not_to_contain_text("Find a free hour")
    _allow(ana)
    expect(ana.get_by_role("heading", level=1)).to_have_text("Allowed")
    expect(ana.get_by_text("You can close this page.")).to_be_visible()
    poll = world.poll(answer)
    assert poll.status == 200
    assert "auth_token" in poll.json()


@pytest.mark.spec("#polling-error-codes")
def test_after_a_refusal_the_agent_gets_denied(ana: Page, world: World) -> None:
    answer = world.ask_person_token()
    ana.goto(page_url(answer))
    expect(ana.get_by_text("First time.")).to_be_visible()
    ana.get_by_role("button", name="Don’t allow").click()
    expect(ana.get_by_role("heading", level=1)).to_have_text("Not allowed")
    poll = world.poll(answer)
    assert (poll.status, poll.json()["error"]) == (403, "denied")


@pytest.mark.spec("#consent-presentation")
def test_the_logos_are_shown(ana: Page, world: World) -> None:
    ana.goto(page_url(world.ask_person_token()))
    for logo in ana.locator("img.face").all():
        assert logo.evaluate("image => image.decode().then(() => image.naturalWidth > 0)")
    assert ana.locator("img.face").count() == 2


@pytest.mark.spec("#incremental-consent")
def test_one_permission_can_be_left_out(ana: Page, world: World) -> None:
    answer = world.ask_auth_token(ana)
    ana.goto(page_url(answer))
    ana.get_by_role("checkbox", name="Create, change and delete events").uncheck()
    _allow(ana)
    expect(ana.get_by_role("heading", level=1)).to_have_text("Allowed")
    assert world.poll(answer).status == 200
    ana.goto(world.ps)
    expect(ana.get_by_text("calendar.read", exact=True)).to_be_visible()
    expect(ana.get_by_text("calendar.write", exact=True)).to_have_count(0)


@pytest.mark.spec("#interaction-code-format")
def test_a_wrong_code_is_said_to_be_wrong_and_the_right_one_still_works(ana: Page, world: World) -> None:
    answer = world.ask_person_token()
    asked = invitation(answer)
    ana.goto(asked.url or "")
    ana.get_by_label("Code").fill("0000-0000")
    ana.get_by_role("button", name="Continue").click()
    expect(ana.get_by_role("alert")).to_have_text("The code is not recognised.")
    ana.get_by_label("Code").fill((asked.code or "").lower().replace("-", " "))
    ana.get_by_role("button", name="Continue").click()
    expect(ana.get_by_role("heading", level=1)).to_contain_text("act as you")


@pytest.mark.spec("#interaction-code-format", "#polling-error-codes")
def test_after_five_wrong_codes_the_right_one_is_dead_too(page: Page, ana: Page, world: World) -> None:
    answer = world.ask_person_token()
    asked = invitation(answer)
    for _ in range(5):
        ana.goto(f"{asked.url}?code=0000-0000")
    ana.goto(page_url(answer))
    expect(ana.get_by_role("alert")).to_contain_text("no longer valid")
    poll = world.poll(answer)
    assert poll.json()["error"] == "invalid_code"


@pytest.mark.spec("#interaction-code-format", "#polling-error-codes")
def test_an_expired_code_is_told_so(ana: Page, world: World) -> None:
    answer = world.ask_person_token()
    world.clock.ahead_s += 901
    ana.goto(page_url(answer))
    expect(ana.get_by_role("heading", level=1)).to_have_text("Too late")
    assert world.poll(answer).json()["error"] == "expired"


@pytest.mark.spec("#interaction-code-format")
def test_a_used_code_is_refused(ana: Page, world: World, new_page: NewPage) -> None:
    answer = world.ask_person_token()
    ana.goto(page_url(answer))
    expect(ana.get_by_role("heading", level=1)).to_contain_text("act as you")
    other = new_page()
    other.goto(page_url(answer))
    expect(other.get_by_role("alert")).to_contain_text("used already")


@pytest.mark.spec("#user-interaction")
def test_a_double_click_approves_once(ana: Page, world: World) -> None:
    answer = world.ask_person_token()
    ana.goto(page_url(answer))
    ana.get_by_role("button", name="Allow", exact=True).dblclick()
    expect(ana.get_by_role("heading", level=1)).to_have_text("Allowed")
    assert world.poll(answer).status == 200
    assert world.poll(answer).status == 410


@pytest.mark.spec("#user-interaction")
def test_the_back_button_shows_the_decision_instead_of_the_form(ana: Page, world: World) -> None:
    answer = world.ask_person_token()
    ana.goto(page_url(answer))
    _allow(ana)
    expect(ana.get_by_role("heading", level=1)).to_have_text("Allowed")
    ana.goto(f"{world.ps}/security")
    ana.go_back()
    expect(ana.get_by_role("heading", level=1)).to_have_text("Allowed")
    ana.go_back()
    expect(ana.get_by_role("button", name="Allow", exact=True)).to_have_count(0)


@pytest.mark.spec("#user-interaction")
def test_the_browser_goes_back_to_the_agent(ana: Page, world: World) -> None:
    callback = f"{world.parties.ap}/callback"
    ana.goto(f"{page_url(world.ask_person_token())}&callback={callback}")
    expect(ana.get_by_text("After that you go on to assistant.localhost")).to_be_visible()
    ana.get_by_role("button", name="Don’t allow").click()
    expect(ana.get_by_role("heading", name="Back at the agent")).to_be_visible()
    assert ana.url == f"{callback}?error=access_denied"


@pytest.mark.spec("#untrusted-input", "#consent-presentation")
def test_markup_of_the_agent_and_of_the_resource_is_text_and_runs_nothing(
    ana: Page, world: World, new_page: NewPage
) -> None:
    hostile = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    world.parties.ap_metadata["name"] = hostile
    answer = world.ask_auth_token(ana, justification=hostile, device="<b>device</b>")
    asked: list[str] = []
    ana.on("request", lambda request: asked.append(request.url))
    ana.goto(page_url(answer))
    claims = ana.get_by_role("region", name="What the agent claims")
    expect(claims).to_contain_text("<script>document.title='owned'</script>")
    expect(claims).to_contain_text("<b>device</b>")
    assert claims.locator("script, img, a, b").count() == 0
    assert "owned" not in ana.title()
    assert all(url.startswith((world.ps, world.parties.ap, world.parties.resource)) for url in asked)


@pytest.mark.spec("#ps-approval-endpoint-auth")
def test_the_page_cannot_be_framed(ana: Page, world: World) -> None:
    ana.goto(page_url(world.ask_person_token()))
    target = ana.url
    response = ana.goto(target)
    assert response is not None
    assert response.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    ana.goto(f"{world.parties.ap}/callback")
    ana.evaluate(
        "url => new Promise(done => { const f = document.createElement('iframe'); f.src = url; f.onload = done;"
        " document.body.append(f); })",
        target,
    )
    inner = ana.frames[1]
    assert inner.get_by_role("button", name="Allow", exact=True).count() == 0


@pytest.mark.spec("#ps-approval-endpoint-auth")
def test_a_form_on_another_site_decides_nothing(ana: Page, world: World) -> None:
    answer = world.ask_person_token()
    ana.goto(page_url(answer))
    target = ana.url
    ana.goto(f"{world.parties.ap}/callback")
    with ana.expect_navigation():
        ana.evaluate(_POST, [target, "<input name=decision value=approve>"])
    expect(ana.get_by_role("heading", level=1)).to_have_text(re.compile("not signed in|Refused"))
    assert world.poll(answer).status == 202


@pytest.mark.spec("#ps-approval-endpoint-auth")
def test_a_decision_without_session_or_token_is_refused_with_a_page(ana: Page, world: World, new_page: NewPage) -> None:
    answer = world.ask_person_token()
    ana.goto(page_url(answer))
    stranger = new_page()
    stranger.goto(f"{world.ps}/sign-in")
    for visitor in (stranger, ana):
        with visitor.expect_navigation() as navigation:
            visitor.evaluate(_POST, [ana.url, "<input name=decision value=approve><input name=csrf value=guessed>"])
        assert navigation.value is not None
        assert navigation.value.status == 403
        expect(visitor.get_by_text("Nothing was changed.")).to_be_visible()
    assert world.poll(answer).status == 202


@pytest.mark.spec("#consent-presentation")
def test_the_keyboard_is_enough(page: Page, world: World) -> None:
    page.goto(f"{world.ps}/setup")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    for text in ("Ana Example", "ana", ""):
        page.keyboard.press("Tab")
        page.keyboard.type(text)
    page.keyboard.press("Tab")  # the passkey button
    page.keyboard.press("Tab")
    page.keyboard.type("correct horse battery")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Hello, Ana Example")

    answer = world.ask_auth_token(page)
    page.goto(page_url(answer))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("checkbox", name="See all your events")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("checkbox", name="Create, change and delete events")).not_to_be_checked()
    page.keyboard.press("Tab")
    expect(page.get_by_role("checkbox", name="Remember this")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Allow", exact=True)).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Don’t allow")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Allowed")
    assert world.poll(answer).status == 200


@pytest.mark.spec("#consent-presentation")
def test_enter_in_a_checkbox_decides_nothing(ana: Page, world: World) -> None:
    answer = world.ask_auth_token(ana)
    ana.goto(page_url(answer))
    ana.get_by_role("checkbox", name="Create, change and delete events").uncheck()
    ana.get_by_role("checkbox", name="See all your events").press("Enter")
    expect(ana.get_by_role("alert")).to_have_text("Choose “Allow” or “Don’t allow”.")
    expect(ana.get_by_role("checkbox", name="Create, change and delete events")).not_to_be_checked()
    expect(ana.get_by_role("checkbox", name="See all your events")).to_be_checked()
    assert world.poll(answer).status == 202


@pytest.mark.spec("#consent-presentation")
def test_a_decision_works_without_javascript(new_page: NewPage, world: World) -> None:
    page = new_page(java_script_enabled=False)
    set_up(page, world)
    answer = world.ask_auth_token(page)
    page.goto(page_url(answer))
    page.get_by_role("checkbox", name="Create, change and delete events").uncheck()
    _allow(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Allowed")
    assert world.poll(answer).status == 200


@pytest.mark.spec("#consent-presentation")
def test_every_page_fits_a_phone(new_page: NewPage, world: World) -> None:
    page = new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, device_scale_factor=2)
    page.goto(f"{world.ps}/setup")
    assert not _scrolls_sideways(page)
    set_up(page, world)
    answer = world.ask_auth_token(page, justification="averyveryverylongword" * 20, device="d" * 64)
    pages = [page_url(answer), f"{world.ps}/", f"{world.ps}/security", f"{world.ps}/interaction/abcdefgh"]
    for address in pages:
        page.goto(address)
        assert not _scrolls_sideways(page), address
        for control in page.locator("main :is(button, input:not([type=checkbox], [type=hidden])):visible").all():
            box = control.bounding_box()
            assert box is not None
            assert box["height"] >= 44, address
    page.goto(f"{world.ps}/")
    page.get_by_role("link", name="Review").click()
    allow = page.get_by_role("button", name="Allow", exact=True).bounding_box()
    deny = page.get_by_role("button", name="Don’t allow").bounding_box()
    assert allow is not None
    assert deny is not None
    assert abs(allow["width"] - deny["width"]) < 1
    assert allow["height"] == deny["height"]


@pytest.mark.spec("#agent-person-binding")
def test_an_agent_is_disconnected_at_home(ana: Page, world: World) -> None:
    world.ask_auth_token(ana)
    ana.goto(world.ps)
    ana.get_by_text("Disconnect").first.click()
    ana.get_by_role("button", name="Disconnect this agent").click()
    expect(ana.get_by_role("status")).to_contain_text("disconnected")
    ana.goto(world.ps)
    expect(ana.get_by_text("No agent acts for you yet.")).to_be_visible()


@pytest.mark.spec("#ps-approval-endpoint-auth")
def test_a_person_who_signs_in_elsewhere_decides_there(ana: Page, world: World, new_page: NewPage) -> None:
    answer = world.ask_person_token()
    phone = new_page(viewport={"width": 390, "height": 844})
    phone.goto(page_url(answer))
    sign_in(phone)
    _allow(phone)
    expect(phone.get_by_role("heading", level=1)).to_have_text("Allowed")
    assert world.poll(answer).status == 200
