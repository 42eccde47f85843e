"""Missions on the pages (#missions, #consent-presentation)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aauthlib.base64url import b64url_decode
from aauthlib.http import Response

from .conftest import Browser, Site
from .parties import page_url

PROPOSAL: dict[str, Any] = {
    "description": "# Plan a trip\n\nBook <script>alert(1)</script> nothing.",
    "tools": [{"name": "WebSearch", "description": "Search the web"}, {"name": "Book<b>Flight"}],
}


async def propose(site: Site, **changes: Any) -> Response:
    body = {**PROPOSAL, "resources": [site.parties.resource], **changes}
    return await site.app.server.propose_mission(site.parties.signed("POST", f"{site.parties.ps}/mission", body))


async def opened(browser: Browser, answer: Response) -> str:
    """Go to the page of a request. Returns its path."""
    path = (await browser.get(page_url(answer))).headers["location"]
    assert (await browser.get(path)).status_code == 200
    return str(path)


async def approved(site: Site, browser: Browser, **changes: str) -> dict[str, Any]:
    """What the agent gets of a mission approved on the page."""
    answer = await propose(site)
    path = await opened(browser, answer)
    fields = {"decision": "approve", "term": "week", "description": PROPOSAL["description"], **changes}
    assert (await browser.submit(path, **fields)).status_code == 303
    document: dict[str, Any] = (await site.poll(answer)).json()
    return document


def blob_of(document: dict[str, Any]) -> dict[str, Any]:
    blob: dict[str, Any] = msgspec.json.decode(b64url_decode(document["mission"]))
    return blob


@pytest.mark.spec("#mission-creation", "#consent-presentation")
async def test_the_proposal_is_shown_as_the_agents_claim(site: Site, browser: Browser) -> None:
    await opened(browser, await propose(site))
    claims = browser.page.partition('class="panel claims" aria-labelledby="plan"')[2].partition("</section>")[0]
    assert "Not verified" in claims
    assert "Plan a trip" in claims
    assert "Example Calendar" not in claims
    assert "First time." in browser.text


@pytest.mark.spec("#untrusted-input")
async def test_nothing_of_a_proposal_becomes_markup(site: Site, browser: Browser) -> None:
    document = await approved(site, browser)
    await opened(browser, await propose(site, description="</textarea><script>alert(2)</script>"))
    pages = [browser.page]
    for path in ("/missions", f"/missions/{document['s256']}"):
        await browser.get(path)
        pages.append(browser.page)
    for page in pages:
        assert "<script>alert" not in page
        assert "<b>Flight" not in page


@pytest.mark.spec("#mission-approval")
async def test_what_is_unticked_and_reworded_is_what_the_agent_gets(site: Site, browser: Browser) -> None:
    document = await approved(site, browser, tool="WebSearch", description="Only look.\r\nTwice.")
    blob = blob_of(document)
    assert blob["description"] == "Only look.\nTwice."
    assert [tool["name"] for tool in blob["approved_tools"]] == ["WebSearch"]
    assert list(document["person_tokens"]) == [site.parties.resource]


@pytest.mark.spec("#mission-identifier")
async def test_line_ends_of_a_browser_change_nothing(site: Site, browser: Browser) -> None:
    document = await approved(site, browser, description=PROPOSAL["description"].replace("\n", "\r\n"))
    assert blob_of(document)["description"] == PROPOSAL["description"]


@pytest.mark.spec("#mission-approval")
@pytest.mark.parametrize("fields", [{"decision": "none"}, {"description": ""}, {"term": "for ever"}])
async def test_a_form_that_makes_no_sense_decides_nothing(site: Site, browser: Browser, fields: dict[str, str]) -> None:
    answer = await propose(site)
    path = await opened(browser, answer)
    sent = {"decision": "approve", "term": "week", "description": "x", **fields}
    response = await browser.submit(path, **sent)
    assert response.status_code == 400
    assert 'role="alert"' in browser.page
    assert (await site.poll(answer)).status == 202


@pytest.mark.spec("#mission-management", "#ps-approval-endpoint-auth")
async def test_a_form_of_another_site_approves_nothing(site: Site, browser: Browser) -> None:
    answer = await propose(site)
    path = await opened(browser, answer)
    fields = browser.form(path) | {"decision": "approve", "term": "week", "description": "x"}
    foreign = await browser.post(path, fields, sec_fetch_site="cross-site")
    assert foreign.status_code == 403
    assert (await browser.post(path, fields | {"csrf": "x"})).status_code == 403
    assert (await site.poll(answer)).status == 202


@pytest.mark.spec("#mission-log", "#mission-management")
async def test_a_mission_is_followed_and_stopped(site: Site, browser: Browser) -> None:
    document = await approved(site, browser)
    s256 = document["s256"]
    record = {"action": "WebSearch", "mission_s256": s256, "description": "Found <b>12</b>."}
    request = site.parties.signed("POST", f"{site.parties.ps}/audit", record)
    assert (await site.app.server.audit(request)).status == 201
    await browser.get("/missions")
    assert "Plan a trip" in browser.text
    await browser.get(f"/missions/{s256}")
    assert "The agent says it did WebSearch" in browser.text
    assert "Found <b>12</b>." not in browser.page
    response = await browser.submit(f"/missions/{s256}/end", reason="revoked", note="Staying home.")
    if response.status_code == 303:
        await browser.get(response.headers["location"])
    else:
        await browser.get(f"/missions/{s256}")
    assert "Stopped" in browser.text
    assert "Staying home." in browser.text
    assert (await browser.get(f"/missions/{'x' * 43}")).status_code == 404


@pytest.mark.spec("#permission-response", "#untrusted-input")
async def test_a_permission_is_shown_with_all_its_parameters_and_can_be_denied(site: Site, browser: Browser) -> None:
    body = {"action": "SendEmail", "parameters": {"to": "bob@example.com", "text": "a\u202eb<i>"}}
    answer = await site.app.server.permission(site.parties.signed("POST", f"{site.parties.ps}/permission", body))
    path = await opened(browser, answer)
    assert "bob@example.com" in browser.page
    assert "\u202e" not in browser.page
    assert "<i>" not in browser.page
    assert (await browser.submit(path, decision="deny", reason="No.")).status_code == 303
    await browser.get(path)
    assert "Not allowed" in browser.text
    assert (await site.poll(answer)).json() == {"permission": "denied", "reason": "No."}


@pytest.mark.spec("#mission-completion")
async def test_a_completion_accepted_on_the_page_ends_the_mission(site: Site, browser: Browser) -> None:
    s256 = (await approved(site, browser))["s256"]
    body = {"action": "completion", "summary": "Booked."}
    answer = await site.app.server.act_on_mission(
        site.parties.signed("POST", f"{site.parties.ps}/mission/{s256}", body), s256
    )
    path = await opened(browser, answer)
    assert "Is the mission done?" in browser.text
    await browser.submit(path, decision="approve")
    assert (await site.poll(answer)).json()["termination_reason"] == "completed"


@pytest.mark.spec("#mission-log", "#ps-approval-endpoint-auth")
async def test_the_pages_are_for_who_is_signed_in(site: Site, browser: Browser) -> None:
    s256 = (await approved(site, browser))["s256"]
    stranger = site.browser()
    for path in ("/missions", f"/missions/{s256}"):
        response = await stranger.get(path)
        assert (response.status_code, "Plan a trip" in stranger.page) == (303, False)
