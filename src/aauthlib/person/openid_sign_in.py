"""Signing in at an organisation's provider, and which account that is (OpenID Connect Core 1.0, Section 3.1).

An identity is `(iss, sub)`. It is linked to an account once, by whoever holds both, and an e-mail address links
nothing: anybody can type one. Nothing is stored until the browser comes back: `state` carries its end and a MAC over
the organisation and the browser that was sent (`binder`), and is used up by the answer; nonce and PKCE verifier are
derived from it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..accounts import Account, Accounts, AccountTaken
from ..accounts.guessing import SignInRefused
from ..accounts.invitations import invitation_digest
from ..accounts.sessions import single_line
from ..accounts.storage import AccountStore
from ..base64url import b64url_decode, b64url_encode
from ..effects import Clock
from ..errors import NotFound
from ..store.organisation_records import MEMBER, LinkedIdentity
from .faces import FlowRunner
from .openid_provider import Provider, ProviderUnavailable, Vouched
from .organisations import Organisation, Organisations

__all__ = ["Begun", "NoAccount", "OpenIDSignIn", "ProviderUnavailable", "Returned", "callback_path"]

SIGN_IN_LIFETIME_S = 600
_RANDOM, _MAC = 16, 32
_FRESH, _LINK = 1, 2
_NAMES_TRIED = 20


class NoAccount(SignInRefused):
    """The provider knows somebody whom this server does not, and who may not come in without an invitation."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A browser about to be sent to the provider."""

    url: str
    state: str


@dataclass(frozen=True, slots=True)
class Returned:
    """A browser that came back from the provider, with what that vouches for."""

    organisation: Organisation
    vouched: Vouched
    link: bool
    """It was sent to link the account that was signed in, not to sign in."""


def callback_path(tenant: str) -> str:
    """Where an organisation's provider sends browsers: a path for each, so that no answer is taken for another's."""
    return f"/sign-in/provider/{tenant}/callback"


class OpenIDSignIn:
    """The providers of one server's organisations."""

    def __init__(
        self,
        store: AccountStore,
        accounts: Accounts,
        organisations: Organisations,
        *,
        issuer: str,
        wire: FlowRunner,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = os.urandom,
        environment: Mapping[str, str] = os.environ,
        dev: bool = False,
    ) -> None:
        self._store, self._accounts, self._organisations = store, accounts, organisations
        self._clock, self._random_bytes = clock, random_bytes
        self._key: bytes | None = None
        self._providers = {
            each.tenant: Provider(
                each.settings.sign_in,
                redirect_uri=issuer + callback_path(each.tenant),
                secret=each.settings.sign_in.secret(environment),
                wire=wire,
                clock=clock,
                dev=dev,
            )
            for each in organisations.with_sign_in()
            if each.settings.sign_in is not None
        }

    def _provider(self, tenant: str) -> tuple[Organisation, Provider]:
        organisation, provider = self._organisations.organisation(tenant), self._providers.get(tenant)
        if organisation is None or provider is None:
            raise NotFound("There is no such provider.")
        return organisation, provider

    # ------------------------------------------------------------------ there and back

    async def begin(
        self, tenant: str, *, binder: str, fresh: bool = False, link: bool = False, login_hint: str | None = None
    ) -> Begun:
        """Where to send the browser that holds `binder`. Raises `NotFound` or `ProviderUnavailable`."""
        _, provider = self._provider(tenant)
        flags = (_FRESH if fresh else 0) | (_LINK if link else 0)
        body = self._random_bytes(_RANDOM) + struct.pack(">QB", int(self._clock()) + SIGN_IN_LIFETIME_S, flags)
        state = b64url_encode(body + await self._mac(b"state", tenant, binder, body))
        nonce, verifier = await self._derived(state)
        url = await provider.authorization_url(
            state=state, nonce=nonce, verifier=verifier, fresh=fresh, login_hint=login_hint
        )
        return Begun(url, state)

    async def finish(self, tenant: str, answer: Mapping[str, str], *, binder: str) -> Returned:
        """Judge the answer the browser brought: the query parameters of the callback.

        Raises `SignInRefused`, `NotFound` or `ProviderUnavailable`.
        """
        organisation, provider = self._provider(tenant)
        state = answer.get("state", "")
        began_at, flags = await self._redeem(tenant, state, binder)
        await provider.check_issuer(answer.get("iss"))
        code = answer.get("code", "")
        if "error" in answer or not code or len(code) > 4096:
            raise SignInRefused("You were not signed in at your organisation. Try again, or sign in another way.")
        nonce, verifier = await self._derived(state)
        vouched = await provider.redeem(
            code, nonce=nonce, verifier=verifier, fresh_since=began_at if flags & _FRESH else None
        )
        return Returned(organisation, vouched, bool(flags & _LINK))

    async def _redeem(self, tenant: str, state: str, binder: str) -> tuple[float, int]:
        """When the browser was sent, and why, if it was this one, to this provider, and is back for the first time."""
        stale = SignInRefused("This took too long, was done before, or was begun in another browser. Try again.")
        try:
            raw = b64url_decode(state)
        except ValueError:
            raise stale from None
        body, mac = raw[:-_MAC], raw[-_MAC:]
        if len(body) != _RANDOM + 9 or not hmac.compare_digest(mac, await self._mac(b"state", tenant, binder, body)):
            raise stale
        expires_at, flags = struct.unpack(">QB", body[_RANDOM:])
        now = self._clock()
        digest = hashlib.sha256(b"state " + raw).hexdigest()
        if expires_at <= now or not await self._store.use_challenge(digest, expires_at=expires_at, now=now):
            raise stale
        return float(expires_at - SIGN_IN_LIFETIME_S), int(flags)

    async def _derived(self, state: str) -> tuple[str, str]:
        """The nonce and the PKCE verifier of a state."""
        nonce = await self._mac(b"nonce", state, "", b"")
        return b64url_encode(nonce), b64url_encode(await self._mac(b"verifier", state, "", b""))

    async def _mac(self, purpose: bytes, first: str, second: str, body: bytes) -> bytes:
        if self._key is None:
            self._key = await self._store.secret("openid-sign-in", self._random_bytes(32))
        parts = (purpose, first.encode("utf-8"), second.encode("utf-8"), body)
        return hmac.digest(self._key, b"".join(struct.pack(">I", len(part)) + part for part in parts), "sha256")

    # ------------------------------------------------------------------ whose account

    async def account_of(self, returned: Returned, *, invitation: str | None = None) -> Account:
        """The account that signed in; made now for somebody new who may come in.

        New people come in by an invitation of the organisation, or where it lets everybody join whom its provider
        vouches for with a verified address in its domains. Raises `NoAccount`.
        """
        organisation, vouched = returned.organisation, returned.vouched
        found = await self._linked(organisation, vouched)
        if found is not None:
            return found
        if invitation:
            _, by = await self._organisations.invited(invitation)
            if by.tenant != organisation.tenant:
                raise NoAccount("This invitation is of another organisation.")
        elif not (_may_join(organisation) and vouches_for_address(organisation, vouched)):
            raise NoAccount(
                "Your organisation confirmed who you are, but you have no account here. Ask one of its administrators "
                "for an invitation. If you have an account, sign in to it and link it on its security page."
            )
        account = await self._create(organisation, vouched, invitation)
        if account is None:
            raise SignInRefused("Somebody was faster. Try again.")
        return account

    async def _linked(self, organisation: Organisation, vouched: Vouched) -> Account | None:
        store = self._organisations.store
        identity = await store.identity(vouched.iss, vouched.sub)
        member = await self._organisations.membership(identity.person_id) if identity is not None else None
        if identity is None or member is None or member.tenant != organisation.tenant:
            return None
        await store.use_identity(vouched.iss, vouched.sub, now=self._clock())
        return await self._accounts.account(identity.person_id)

    async def link(self, returned: Returned, account: Account) -> None:
        """Link the identity to an account of the organisation. Raises `AccountTaken` or `NotFound`."""
        await self._organisations.store.link(self._identity(returned.organisation, returned.vouched, account))

    async def _create(self, organisation: Organisation, vouched: Vouched, invitation: str | None) -> Account | None:
        store, now = self._organisations.store, self._clock()
        wanted = _username(vouched)
        for number in range(1, _NAMES_TRIED + 1):
            suffix = "" if number == 1 else f"-{number}" if number < _NAMES_TRIED else "-" + self._random_bytes(4).hex()
            username = wanted[: 32 - len(suffix)] + suffix
            account = Account(
                person_id=self._accounts.new_person_id(),
                username=username,
                display_name=single_line(vouched.name or "")[:100] or username,
                email=vouched.email if vouches_for_address(organisation, vouched) else None,
                user_handle=self._accounts.new_user_handle(),
                created_at=now,
            )
            identity = self._identity(organisation, vouched, account)
            try:
                if invitation:
                    digest = invitation_digest(invitation)
                    await store.create_invited(account, digest=digest, identity=identity, now=now)
                else:
                    await store.create_linked(account, identity, role=MEMBER, now=now)
                return account
            except AccountTaken:
                if await store.identity(vouched.iss, vouched.sub) is not None:
                    return None
        return None

    def _identity(self, organisation: Organisation, vouched: Vouched, account: Account) -> LinkedIdentity:
        now = self._clock()
        return LinkedIdentity(
            iss=vouched.iss,
            sub=vouched.sub,
            person_id=account.person_id,
            tenant=organisation.tenant,
            created_at=now,
            last_used_at=now,
        )


def vouches_for_address(organisation: Organisation, vouched: Vouched) -> bool:
    """Whether the address is verified, and the provider is one to verify it: it is in the organisation's domains."""
    domain = (vouched.email or "").rpartition("@")[2].lower()
    return vouched.email_verified and domain in organisation.settings.domains


def _may_join(organisation: Organisation) -> bool:
    return organisation.settings.sign_in is not None and organisation.settings.sign_in.join


def _username(vouched: Vouched) -> str:
    """A username like the one at the provider, of the letters that are taken here."""
    for text in (vouched.username, vouched.email, vouched.name):
        local = re.sub(r"[^a-z0-9._-]+", "-", (text or "").partition("@")[0].lower()).strip("-._")
        if local:
            return local[:32]
    return "person"
