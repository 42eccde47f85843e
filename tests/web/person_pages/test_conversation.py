"""The conversation on the consent page."""

from __future__ import annotations

import pytest

from .conftest import Browser, Site
from .parties import page_url


async def _asked(site: Site, browser: Browser) -> str:
    answer = await site.ask_person_token(capabilities=["interaction", "clarification"])
    path = (await browser.get(page_url(answer))).headers["location"]
    await browser.get(path)
    return str(path)


@pytest.mark.spec("#clarification-chat", "#untrusted-input")
async def test_a_question_is_put_from_the_page_and_shown_without_its_script(site: Site, browser: Browser) -> None:
    path = await _asked(site, browser)
    attack = "Why **now**? <script>alert(1)</script><img src=x onerror=alert(1)>"
    response = await browser.submit(f"{path}/ask", question=attack, options="<b>Yes</b>\nNo")
    assert response.status_code == 303
    await browser.get(path)
    assert "<strong>now</strong>" in browser.page
    assert "<script>alert" not in browser.page
    assert "<img src=x" not in browser.page
    assert "<b>Yes</b>" not in browser.page
    assert "See whether it has answered" in browser.page


@pytest.mark.spec("#clarification-chat")
async def test_an_empty_question_is_refused_on_the_page_and_nothing_is_asked(site: Site, browser: Browser) -> None:
    path = await _asked(site, browser)
    response = await browser.submit(f"{path}/ask", question="  ")
    assert response.status_code == 400
    assert "between 1 and 2000 characters" in browser.page


@pytest.mark.spec("#clarification-chat", "#ps-approval-endpoint-auth")
async def test_a_question_without_the_forms_secret_is_refused(site: Site, browser: Browser) -> None:
    path = await _asked(site, browser)
    assert (await browser.post(f"{path}/ask", {"question": "Why?"})).status_code == 403
    await browser.get(path)
    assert "You asked" not in browser.page


@pytest.mark.spec("#updated-request")
async def test_a_decision_without_the_version_of_its_page_allows_nothing(site: Site, browser: Browser) -> None:
    path = await _asked(site, browser)
    response = await browser.submit(path, decision="approve", version="")
    assert response.status_code == 409
    assert "Nothing was allowed" in browser.page
