"""A chain as its person sees it: two services that call on, two servers' pages, one window (#interaction-chaining)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from aauthlib.effects import Direct
from tests.chaining.parties import Parties, open_parties

from .conftest import Album, NewPage

pytestmark = [pytest.mark.browser, pytest.mark.spec("#interaction-chaining", "#user-interaction")]

PASSWORD = "correct horse battery"


class Chain:
    """The parties of `tests/chaining`, in a thread of their own, whose person is the browser."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._loop = folder, asyncio.new_event_loop()
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self.parties: Parties
        self.directed: list[Direct] = []
        self._thread.start()
        assert self._ready.wait(30), "the servers did not start"

    async def _serve(self) -> None:
        async with open_parties(self._folder) as parties:
            await parties.begin()
            self.parties = parties
            self._ready.set()
            await self._stop.wait()

    def begin(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        self._loop.close()


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    chain = Chain(tmp_path)
    yield chain
    chain.stop()


def follow(page: Page, chain: Chain, host: str) -> list[str]:
    """Say yes wherever one is asked, until the page says that all is done. Returns who asked and led, host by host."""
    hosts = [host]
    allow, done = page.get_by_role("button", name="Allow", exact=True), page.get_by_role("heading", name="Done")
    for _ in range(12):
        allow.or_(done).first.wait_for(timeout=30_000)
        if done.is_visible():
            break
        hosts.append(urlsplit(page.url).hostname or "")
        allow.click()
        # What is asked next, if anything, is another page.
        page.wait_for_url(lambda url: "/onward/" in url or "/interaction" in url or "/requests/" in url)
        page.wait_for_load_state()
    return hosts


def test_one_window_leads_through_both_services_and_back(chain: Chain, new_page: NewPage, album: Album) -> None:
    parties = chain.parties
    assert chain.begin(parties.agent.get(f"{parties.url['a']}/me")).result(60).status_code == 200
    parties.directed.clear()
    parties.decide = None
    calling = chain.begin(parties.agent.get(f"{parties.url['a']}/both"))
    chain.begin(parties.until(lambda: bool(parties.directed))).result(30)

    page = new_page(viewport={"width": 760, "height": 640})
    page.goto(parties.directed[0].url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Your agent sent you here")
    album.take(page, "chain-code")
    page.get_by_label("Code").fill(parties.directed[0].code)
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Username").fill(parties.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    hosts = follow(page, chain, "a.localhost")

    assert hosts.count("person.localhost") >= 3, "what A needed for B, what B needed for C, what A needed after it"
    assert urlsplit(page.url).hostname == "a.localhost", "back where the agent sent them"
    expect(page.get_by_role("heading", level=1)).to_have_text("Done")
    album.take(page, "chain-done")
    assert calling.result(60).json() == [200, 200]
    assert len(parties.directed) == 1


def test_the_pages_fit_a_phone_and_need_no_script(chain: Chain, new_page: NewPage) -> None:
    parties = chain.parties
    assert chain.begin(parties.agent.get(f"{parties.url['a']}/me")).result(60).status_code == 200
    parties.directed.clear()
    parties.decide = None
    calling = chain.begin(parties.agent.get(f"{parties.url['a']}/me", params={"to": "c"}))
    chain.begin(parties.until(lambda: bool(parties.directed))).result(30)
    page = new_page(java_script_enabled=False, viewport={"width": 360, "height": 640}, color_scheme="dark")
    page.goto(parties.directed[0].url)
    page.keyboard.press("Tab")
    page.keyboard.type(parties.directed[0].code)
    page.keyboard.press("Enter")
    page.get_by_label("Username").fill(parties.username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("button", name="Allow", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Done", timeout=30_000)
    assert calling.result(60).status_code == 200
