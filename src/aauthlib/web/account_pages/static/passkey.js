// Passkeys: the only thing on these pages that needs JavaScript. It fills a hidden field and submits the form; nothing
// is fetched. Without it, or without passkeys in the browser, the parts it serves stay hidden.
"use strict";

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const known = (list) => (list || []).map((each) => ({ ...each, id: bytes(each.id) }));

async function create(options, form) {
  const field = (name, otherwise) => form.elements[name]?.value.trim() || otherwise;
  const user = {
    id: bytes(options.user.id),
    name: form.elements.username ? field("username", options.user.name) : options.user.name,
    displayName: form.elements.display_name ? field("display_name", options.user.displayName) : options.user.displayName,
  };
  const made = await navigator.credentials.create({
    publicKey: {
      ...options,
      user,
      challenge: bytes(options.challenge),
      excludeCredentials: known(options.excludeCredentials),
    },
  });
  return {
    id: made.id,
    rawId: text(made.rawId),
    type: made.type,
    response: {
      clientDataJSON: text(made.response.clientDataJSON),
      attestationObject: text(made.response.attestationObject),
    },
  };
}

async function get(options) {
  const got = await navigator.credentials.get({
    publicKey: { ...options, challenge: bytes(options.challenge), allowCredentials: known(options.allowCredentials) },
  });
  return {
    id: got.id,
    rawId: text(got.rawId),
    type: got.type,
    response: {
      clientDataJSON: text(got.response.clientDataJSON),
      authenticatorData: text(got.response.authenticatorData),
      signature: text(got.response.signature),
      userHandle: got.response.userHandle ? text(got.response.userHandle) : null,
    },
  };
}

const EXPLAINED = {
  InvalidStateError: "This device has a passkey for this account already.",
  SecurityError: "Passkeys do not work at this address. Sign in another way.",
};

function prepare(form) {
  const button = form.querySelector("[data-passkey-button]") || form.querySelector("button[type=submit]");
  const message = form.querySelector("[data-passkey-error]");
  const part = form.querySelector("[data-passkey-part]");
  const alone = !part;
  (part || form).hidden = false;

  async function use(event) {
    event.preventDefault();
    // What the account needs besides a password must be there before the authenticator is asked.
    const missing = [...form.elements].find((each) => each.name !== "password" && each.willValidate && !each.checkValidity());
    if (missing) {
      missing.reportValidity();
      return;
    }
    message.hidden = true;
    button.disabled = true;
    try {
      const options = JSON.parse(form.dataset.options);
      const credential = form.dataset.passkey === "get" ? await get(options) : await create(options, form);
      form.elements.credential.value = JSON.stringify(credential);
      HTMLFormElement.prototype.submit.call(form);
    } catch (error) {
      message.textContent = EXPLAINED[error.name] || "No passkey was used. Try again, or choose another way.";
      message.hidden = false;
      button.disabled = false;
    }
  }

  if (alone) form.addEventListener("submit", use);
  else button.addEventListener("click", use);
}

if (window.PublicKeyCredential && navigator.credentials) document.querySelectorAll("form[data-passkey]").forEach(prepare);
// A page that comes back from the browser's memory has a used challenge and perhaps an ended session.
window.addEventListener("pageshow", (event) => event.persisted && location.reload());
