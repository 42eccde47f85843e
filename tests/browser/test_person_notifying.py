"""Notifications in Chromium: subscribing this browser, and the service worker that shows a message.

A headless Chromium has no push service, so the page's `subscribe` is answered by the test; all else is the browser's
own.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Page

from aauthlib.base64url import b64url_encode

from .conftest import Album, NewPage, World, set_up

pytestmark = pytest.mark.browser

_STUB = """
  PushManager.prototype.getSubscription = async () => null;
  PushManager.prototype.subscribe = async (options) => {
    if (!options.userVisibleOnly || options.applicationServerKey.length !== 65) throw new Error("wrong options");
    return {toJSON: () => (%s)};
  };
  Notification.requestPermission = async () => "%s";
"""


def _stub(page: Page, permission: str = "granted") -> None:
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    raw = point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    keys = f'{{p256dh: "{b64url_encode(raw)}", auth: "{b64url_encode(os.urandom(16))}"}}'
    made = f'{{endpoint: "https://push.example/send/abc", keys: {keys}}}'
    page.add_init_script(_STUB % (made, permission))


def test_a_browser_is_subscribed_with_one_button(new_page: NewPage, world: World, album: Album) -> None:
    page = new_page(viewport={"width": 760, "height": 640})
    _stub(page)
    set_up(page, world)
    page.get_by_role("link", name="Notifications").click()
    page.get_by_role("button", name="Tell this browser").click()
    page.get_by_role("status").get_by_text("This browser will be told.").wait_for()
    assert page.get_by_role("button", name="Send a test to").count() == 1
    album.take(page, "person-notifications")


def test_a_browser_that_says_no_is_explained(new_page: NewPage, world: World) -> None:
    page = new_page()
    _stub(page, "denied")
    set_up(page, world)
    page.goto(f"{world.ps}/notifications")
    page.get_by_role("button", name="Tell this browser").click()
    page.get_by_role("alert").get_by_text("Allow it in the browser's settings").wait_for()
    assert page.get_by_text("Nowhere yet").is_visible()


def test_without_script_the_page_says_what_is_missing_and_the_rest_works(new_page: NewPage, world: World) -> None:
    page = new_page(java_script_enabled=False, viewport={"width": 390, "height": 844})
    set_up(page, world)
    page.goto(f"{world.ps}/notifications")
    assert page.get_by_text("Messages to this browser need JavaScript").is_visible()
    assert not page.get_by_role("button", name="Tell this browser").is_visible()
    page.get_by_label("From").fill("22:00")
    page.get_by_label("Until").fill("07:00")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("status").get_by_text("Saved.").wait_for()
    assert page.get_by_label("From").input_value() == "22:00"


def test_the_worker_shows_what_the_server_says_and_leads_only_to_this_server(new_page: NewPage, world: World) -> None:
    page = new_page(permissions=["notifications"])
    set_up(page, world)
    page.goto(f"{world.ps}/notifications")
    page.evaluate("navigator.serviceWorker.register('/notify.js').then(() => navigator.serviceWorker.ready)")
    context = page.context
    worker = context.service_workers[0] if context.service_workers else context.wait_for_event("serviceworker")
    shown: Any = worker.evaluate(
        """async () => {
          const shown = [], opened = [];
          self.registration.showNotification = async (title, options) => shown.push([title, options]);
          const clients = {matchAll: async () => [], openWindow: async (url) => opened.push(url)};
          Object.defineProperty(self, "clients", {value: clients});
          const url = self.location.origin + "/requests/abc";
          const message = {title: "Somebody asks you", body: "b", tag: "t", url};
          self.dispatchEvent(new PushEvent("push", {data: JSON.stringify(message)}));
          self.dispatchEvent(new PushEvent("push", {data: "not JSON"}));
          for (const url of [message.url, "https://evil.example/requests/abc", undefined]) {
            const event = new Event("notificationclick");
            event.notification = {close() {}, data: {url}};
            event.waitUntil = () => {};
            self.dispatchEvent(event);
          }
          await new Promise((resolve) => setTimeout(resolve, 0));
          return {shown, opened};
        }"""
    )
    assert [title for title, _ in shown["shown"]] == ["Somebody asks you", "Something waits for you"]
    assert shown["shown"][0][1]["data"] == {"url": f"{world.ps}/requests/abc"}
    assert shown["opened"] == ["/requests/abc", "/", "/"]
