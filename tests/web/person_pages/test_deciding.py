"""Arriving with a code, and deciding."""

from __future__ import annotations

import pytest

from .conftest import PASSWORD, Browser, Site
from .parties import invitation, page_url


@pytest.mark.spec("#user-interaction", "#interaction-code-format")
async def test_arriving_signed_in_consumes_the_code_and_leaves_it_out_of_the_address(
    site: Site, browser: Browser
) -> None:
    answer = await site.ask_person_token()
    response = await browser.get(page_url(answer))
    assert response.status_code == 303
    assert response.headers["location"].startswith("/requests/")
    assert "code" not in response.headers["location"]
    again = await browser.get(page_url(answer))
    assert again.status_code == 400


@pytest.mark.spec("#interaction-code-format", "#ps-approval-endpoint-auth")
async def test_a_link_preview_does_not_use_up_the_code(site: Site, browser: Browser) -> None:
    answer = await site.ask_person_token()
    preview = site.browser()
    for _ in range(8):
        assert (await preview.get(page_url(answer))).status_code == 200
    assert "Sign in" in preview.text
    assert (await browser.get(page_url(answer))).status_code == 303


@pytest.mark.spec("#interaction-code-format", "#ps-approval-endpoint-auth")
async def test_the_code_is_consumed_after_sign_in_and_leads_to_the_request(site: Site, browser: Browser) -> None:
    answer = await site.ask_person_token()
    stranger = site.browser()
    await stranger.get(page_url(answer))
    response = await stranger.submit("/sign-in", username="ana", password=PASSWORD)
    assert response.status_code == 303
    await stranger.get(response.headers["location"])
    assert "Let assistant.example act as you at calendar.example ?" in stranger.text


@pytest.mark.spec("#interaction-code-format")
async def test_a_wrong_password_keeps_the_code_for_the_next_try(site: Site, browser: Browser) -> None:
    answer = await site.ask_person_token()
    stranger = site.browser()
    await stranger.get(page_url(answer))
    refused = await stranger.submit("/sign-in", username="ana", password="not the password")
    assert refused.status_code == 403
    response = await stranger.submit("/sign-in", username="ana", password=PASSWORD)
    assert response.headers["location"].startswith("/requests/")


@pytest.mark.spec("#interaction-code-format")
async def test_a_code_can_be_typed_in_lower_case_without_hyphen(site: Site, browser: Browser) -> None:
    asked = invitation(await site.ask_person_token())
    path = (asked.url or "").removeprefix(site.parties.ps)
    await browser.get(path)
    assert "Type the code" in browser.text
    response = await browser.submit(path, code=(asked.code or "").replace("-", "").lower())
    assert response.status_code == 303


@pytest.mark.spec("#interaction-code-format", "#polling-error-codes")
async def test_five_wrong_codes_close_the_request_for_good(site: Site, browser: Browser) -> None:
    answer = await site.ask_person_token()
    asked = invitation(answer)
    path = (asked.url or "").removeprefix(site.parties.ps)
    for _ in range(5):
        response = await browser.get(f"{path}?code=0000-0000")
        assert response.status_code == 400
    assert (await browser.get(f"{path}?code={asked.code}")).status_code == 400
    await browser.get(path)
    assert (await browser.submit(path, code=asked.code or "")).status_code == 400


@pytest.mark.spec("#interaction-code-format")
async def test_a_code_past_its_time_is_told_so(site: Site, browser: Browser) -> None:
    answer = await site.ask_person_token()
    site.clock.now += 901
    for visitor in (browser, site.browser()):
        response = await visitor.get(page_url(answer))
        assert response.status_code == 410
        assert "Too late" in visitor.text


@pytest.mark.spec("#consent-presentation")
async def test_the_page_keeps_what_the_resource_says_apart_from_what_the_agent_claims(
    site: Site, browser: Browser
) -> None:
    answer = await site.ask_auth_token(justification="Lunch with **Bo**.", platform="desktop", device="Chrome on Linux")
    response = await browser.get(page_url(answer))
    await browser.get(response.headers["location"])
    who, _, rest = browser.text.partition("What the resource says")
    resource, _, claims = rest.partition("What the agent claims")
    assert "Assistant Works" in who
    assert "aauth:calendar-helper@assistant.example" in who
    assert "See all your events" in resource
    assert "Create, change and delete events" in resource
    assert "Lunch" not in who + resource
    assert "Lunch with Bo ." in claims
    assert "Chrome on Linux" in claims
    assert "Not verified" in rest


@pytest.mark.spec("#scopes", "#consent-presentation")
async def test_what_is_asked_about_the_person_is_in_the_words_of_this_server(site: Site) -> None:
    browser = site.browser()
    await browser.set_up(email="ana@example.com")
    path = (await browser.get(page_url(await site.ask_auth_token("calendar.read email")))).headers["location"]
    await browser.get(path)
    resource, _, about = browser.text.partition("What it asks about you")
    assert "See all your events" in resource
    assert "email" not in resource
    assert "See your email address" in about
    assert "From your profile here that is your email address" in about


@pytest.mark.spec("#untrusted-input", "#consent-presentation")
async def test_markup_in_a_justification_is_shown_as_text(site: Site, browser: Browser) -> None:
    hostile = (
        "<script>alert(1)</script> <img src=x onerror=alert(1)> [go](https://evil.example) ![i](https://evil.example)"
    )
    answer = await site.ask_auth_token(justification=hostile)
    response = await browser.get(page_url(answer))
    await browser.get(response.headers["location"])
    assert "<script>alert" not in browser.page
    assert "<img src=x" not in browser.page
    assert 'href="https://evil.example' not in browser.page
    assert "<script>alert(1)</script>" in browser.text or "alert(1)" in browser.text


@pytest.mark.spec("#ps-response", "#incremental-consent")
async def test_only_the_ticked_permissions_are_granted(site: Site, browser: Browser) -> None:
    answer = await site.ask_auth_token()
    path = (await browser.get(page_url(answer))).headers["location"]
    await browser.get(path)
    fields = browser.form(path) | {"scope": "calendar.read", "decision": "approve"}
    assert (await browser.post(path, fields)).status_code == 303
    assert (await site.poll(answer)).status == 200
    await browser.get("/")
    assert "calendar.read" in browser.text
    assert "calendar.write" not in browser.text


@pytest.mark.spec("#consent-presentation")
async def test_unticking_everything_is_not_an_approval(site: Site, browser: Browser) -> None:
    answer = await site.ask_auth_token()
    path = (await browser.get(page_url(answer))).headers["location"]
    await browser.get(path)
    fields = browser.form(path) | {"decision": "approve"}
    del fields["scope"]
    response = await browser.post(path, fields)
    assert response.status_code == 400
    assert "You unticked everything" in browser.text
    assert (await site.poll(answer)).status == 202


@pytest.mark.spec("#polling-error-codes", "#user-interaction")
async def test_a_refusal_reaches_the_agent_as_denied(site: Site, browser: Browser) -> None:
    answer = await site.ask_person_token()
    path = (await browser.get(page_url(answer))).headers["location"]
    await browser.get(path)
    assert (await browser.submit(path, decision="deny")).headers["location"] == path
    await browser.get(path)
    assert "Not allowed" in browser.text


@pytest.mark.spec("#user-interaction")
async def test_a_second_click_changes_nothing_and_shows_the_first(site: Site, browser: Browser) -> None:
    answer = await site.ask_person_token()
    path = (await browser.get(page_url(answer))).headers["location"]
    await browser.get(path)
    fields = browser.form(path)
    await browser.post(path, fields | {"decision": "approve"})
    assert (await browser.post(path, fields | {"decision": "deny"})).headers["location"] == path
    await browser.get(path)
    assert "Allowed" in browser.text
    assert (await site.poll(answer)).status == 200
    await browser.get(path)
    assert "Allowed" in browser.text


@pytest.mark.spec("#user-interaction", "#interaction-callback-errors")
@pytest.mark.parametrize(("decision", "query"), [("approve", ""), ("deny", "?error=access_denied")])
async def test_the_browser_goes_on_to_the_callback(site: Site, browser: Browser, decision: str, query: str) -> None:
    callback = f"{site.parties.ap}/callback"
    answer = await site.ask_person_token()
    path = (await browser.get(f"{page_url(answer)}&callback={callback}")).headers["location"]
    page = await browser.get(path)
    assert "form-action 'self' https://assistant.example;" in page.headers["content-security-policy"]
    assert (await browser.submit(path, decision=decision)).headers["location"] == callback + query


@pytest.mark.spec("#user-interaction")
async def test_a_callback_that_the_provider_does_not_name_is_not_followed(site: Site, browser: Browser) -> None:
    answer = await site.ask_person_token()
    path = (await browser.get(f"{page_url(answer)}&callback=https://evil.example/x")).headers["location"]
    page = await browser.get(path)
    assert "evil.example" not in page.headers["content-security-policy"]
    assert (await browser.submit(path, decision="approve")).headers["location"] == path


@pytest.mark.spec("#ps-approval-endpoint-auth")
@pytest.mark.parametrize("decision", ["approve", "deny"])
async def test_nobody_decides_without_a_session(site: Site, browser: Browser, decision: str) -> None:
    answer = await site.ask_person_token()
    path = (await browser.get(page_url(answer))).headers["location"]
    await browser.get(path)
    fields = browser.form(path) | {"decision": decision}
    stranger = site.browser()
    response = await stranger.post(path, fields)
    assert response.status_code == 403
    assert "You are not signed in" in stranger.text
    assert (await site.poll(answer)).status == 202


@pytest.mark.spec("#ps-approval-endpoint-auth")
@pytest.mark.parametrize("token", ["", "x" * 43, None])
async def test_nobody_decides_without_the_csrf_token_of_their_session(
    site: Site, browser: Browser, token: str | None
) -> None:
    answer = await site.ask_person_token()
    path = (await browser.get(page_url(answer))).headers["location"]
    await browser.get(path)
    fields = browser.form(path) | {"decision": "approve"}
    if token is None:
        del fields["csrf"]
    else:
        fields["csrf"] = token
    assert (await browser.post(path, fields)).status_code == 403
    assert (await site.poll(answer)).status == 202


@pytest.mark.spec("#ps-approval-endpoint-auth")
@pytest.mark.parametrize(
    "headers",
    [{"sec_fetch_site": "cross-site"}, {"sec_fetch_site": "same-site"}, {"origin": "https://evil.example"}],
)
async def test_a_form_of_another_site_decides_nothing(site: Site, browser: Browser, headers: dict[str, str]) -> None:
    answer = await site.ask_person_token()
    path = (await browser.get(page_url(answer))).headers["location"]
    await browser.get(path)
    fields = browser.form(path) | {"decision": "approve"}
    assert (await browser.post(path, fields, **headers)).status_code == 403
    assert (await site.poll(answer)).status == 202


@pytest.mark.spec("#agent-person-binding", "#ps-approval-endpoint-auth")
async def test_another_person_cannot_see_or_decide_a_request(site: Site, browser: Browser) -> None:
    answer = await site.ask_person_token()
    path = (await browser.get(page_url(answer))).headers["location"]
    await browser.get(path)
    fields = browser.form(path) | {"decision": "approve"}
    await site.app.accounts.create("bo", "Bo", password="another good phrase")
    other = site.browser()
    await other.sign_in("bo", "another good phrase")
    assert (await other.get(path)).status_code == 404
    await other.get("/")
    csrf = other.form("/sign-out")["csrf"]
    assert (await other.post(path, fields | {"csrf": csrf})).status_code == 404
    assert (await site.poll(answer)).status == 202


@pytest.mark.spec("#agent-person-binding")
async def test_an_agent_of_another_person_is_said_to_be_so(site: Site, browser: Browser) -> None:
    token = await site.person_token()
    assert token
    answer = await site.ask_auth_token()
    await site.app.accounts.create("bo", "Bo", password="another good phrase")
    other = site.browser()
    await other.sign_in("bo", "another good phrase")
    response = await other.get(page_url(answer))
    assert response.status_code == 403
    assert "belongs to somebody else" in other.text


@pytest.mark.spec("#agent-person-binding")
async def test_the_inbox_lists_requests_of_connected_agents(site: Site, browser: Browser) -> None:
    await site.ask_auth_token()
    await browser.get("/")
    assert "assistant.example asks to use calendar.example" in browser.text


@pytest.mark.spec("#agent-person-binding")
async def test_a_disconnected_agent_has_to_ask_again(site: Site, browser: Browser) -> None:
    await site.person_token()
    await browser.get("/")
    assert "Act as you" in browser.text
    await browser.submit("/agents/disconnect")
    assert "disconnected" in browser.text
    assert "calendar.example It takes no such notice" in browser.text
    await browser.get("/")
    assert "No agent acts for you yet" in browser.text


@pytest.mark.spec("#incremental-consent")
async def test_a_permission_taken_back_has_to_be_asked_for_again(site: Site, browser: Browser) -> None:
    await site.person_token()
    assert (await site.ask_person_token()).status == 200
    await browser.get("/")
    assert (await browser.submit("/agents/forget")).status_code == 303
    assert (await site.ask_person_token()).status == 202


async def test_a_request_to_sign_in_anew_is_followed(site: Site, browser: Browser) -> None:
    site.clock.now += 60
    answer = await site.ask_person_token(prompt="login")
    path = (await browser.get(page_url(answer))).headers["location"]
    response = await browser.get(path)
    assert response.headers["location"] == f"/sign-in?again=1&next={path}"
    await browser.get(response.headers["location"])
    assert "Confirm it is you" in browser.text
    after = await browser.submit("/sign-in", username="ana", password=PASSWORD)
    assert after.headers["location"] == path
    assert (await browser.get(path)).status_code == 200
