// Subscribes this browser to notifications, and hands the subscription in with the form on the page.
"use strict";

const form = document.querySelector("[data-subscribe]");
const complaint = document.querySelector("[data-subscribe-error]");

function complain(text) {
  complaint.textContent = text;
  complaint.hidden = false;
}

function bytes(base64url) {
  const padded = base64url.replace(/-/g, "+").replace(/_/g, "/").padEnd(Math.ceil(base64url.length / 4) * 4, "=");
  return Uint8Array.from(atob(padded), (character) => character.charCodeAt(0));
}

async function subscribe() {
  if ((await Notification.requestPermission()) !== "granted") {
    complain("This browser does not let this site notify you. Allow it in the browser's settings, then try again.");
    return;
  }
  const registration = await navigator.serviceWorker.register("/notify.js");
  await navigator.serviceWorker.ready;
  const old = await registration.pushManager.getSubscription();
  const wanted = {userVisibleOnly: true, applicationServerKey: bytes(form.dataset.subscribe)};
  const made = (old || (await registration.pushManager.subscribe(wanted))).toJSON();
  form.elements.endpoint.value = made.endpoint;
  form.elements.p256dh.value = made.keys.p256dh;
  form.elements.auth.value = made.keys.auth;
  form.submit();
}

if (form && "serviceWorker" in navigator && "PushManager" in window && "Notification" in window) {
  form.hidden = false;
  document.querySelector("[data-no-push]").hidden = true;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    complaint.hidden = true;
    subscribe().catch(() => complain("This browser could not be subscribed. Its push service may be out of reach."));
  });
}

const zone = document.querySelector("[data-zone]");
if (zone && !zone.dataset.zone) {
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if ([...zone.options].some((option) => option.value === here)) zone.value = here;
}
