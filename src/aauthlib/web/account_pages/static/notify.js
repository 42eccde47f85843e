// The service worker: shows what the server says, and leads to the page where it is decided. It keeps nothing.
"use strict";

self.addEventListener("push", (event) => {
  let said = {};
  try {
    said = event.data.json();
  } catch {
    // A browser must show something for every message.
  }
  const options = {body: said.body || "", tag: said.tag || "waiting", icon: "/static/favicon.svg", data: {url: said.url}};
  event.waitUntil(self.registration.showNotification(said.title || "Something waits for you", options));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  let target = "/";
  try {
    const url = new URL(event.notification.data.url || "/", self.location.origin);
    if (url.origin === self.location.origin) target = url.pathname;
  } catch {
    // Home is where everything that waits is listed.
  }
  event.waitUntil(
    self.clients.matchAll({type: "window"}).then((open) => {
      const here = open.find((client) => new URL(client.url).pathname === target);
      return here ? here.focus() : self.clients.openWindow(target);
    }),
  );
});
