"""Issuing resource tokens: what is asked, by which key, for which person and scope (#resource-token, #scopes).

Every resource token is issued against a person or auth token verified on the request, whose claims it copies.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from ..base64url import b64url_encode
from ..effects import Clock, FindMetadata, Flow
from ..errors import AAuthError, ConfigurationError, InvalidAccount, InvalidScope, TemporarilyUnavailable
from ..keys import SigningKey
from ..messages.metadata import PersonServerMetadata, read_metadata
from ..tokens import PERSON_DWK, issue_resource_token
from ..tokens.resource import RECOMMENDED_LIFETIME_S
from ..verification import Caller
from .callers import AsyncRunner
from .challenges import person_token_required

__all__ = ["IDENTITY_SCOPES", "AccountHolder", "ResourceTokenIssued", "ResourceTokens", "satisfies"]

#: Whether the person `(iss, sub)` holds the account.
AccountHolder = Callable[[tuple[str, str], str], Awaitable[bool]]

#: OpenID Connect and enterprise scopes a resource may ask for where the person server offers them (#scopes).
IDENTITY_SCOPES = frozenset({"openid", "profile", "email", "address", "phone", "tenant", "groups", "roles"})


def satisfies(caller: Caller, scopes: Iterable[str], account: str | None) -> bool:
    """Whether the caller presents an auth token that grants all of `scopes`, at `account` where one is named.

    A person token never does, whatever its claims (#person-token-not-authorization).
    """
    token = caller.auth_token
    if token is None or not set(scopes) <= set(token.scope or ()):
        return False
    return account is None or token.account == account


@dataclass(frozen=True, slots=True)
class ResourceTokenIssued:
    """A resource token and when it expires (Unix seconds)."""

    text: str
    exp: float
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ResourceTokens:
    """Issues resource tokens for one resource."""

    issuer: str
    signing_key: SigningKey | None
    wire: AsyncRunner
    clock: Clock
    dev: bool
    scopes: Mapping[str, str]
    access_server: str | None
    account_holder: AccountHolder | None
    on_issued: Callable[[str], None] | None
    random_bytes: Callable[[int], bytes]

    async def issue(self, caller: Caller, scopes: tuple[str, ...], account: str | None) -> ResourceTokenIssued:
        """A resource token for `scopes`, against the token the request carried.

        What the caller was granted already is asked for again, so that a step-up does not take it away. Raises the
        challenge for a person token when it carried neither kind, `InvalidScope` for an identity scope the person
        server does not offer, `InvalidAccount` for an account the person does not hold.
        """
        presented = caller.presented
        if presented is None:
            raise person_token_required()
        if self.signing_key is None:
            raise ConfigurationError("This resource has no signing_key, so it cannot ask for an auth token.")
        scopes = self._stepped_up(caller, scopes, account)
        await self._check_identity_scopes(presented.person_server, scopes)
        if account is not None:
            person = (presented.person_server, presented.sub)
            if self.account_holder is None or not await self.account_holder(person, account):
                raise InvalidAccount("The person this token identifies does not hold that account.")
        now = self.clock()
        # It is redeemed together with the presented token, so it is of no use beyond that token's own end.
        lifetime_s = max(1, int(min(RECOMMENDED_LIFETIME_S, presented.exp - now)))
        text = issue_resource_token(
            self.signing_key,
            iss=self.issuer,
            presented=presented,
            jti=b64url_encode(self.random_bytes(16)),
            now=now,
            scope=scopes,
            access_server=self.access_server,
            account=account,
            lifetime_s=lifetime_s,
        )
        if self.on_issued is not None:
            self.on_issued(text)
        return ResourceTokenIssued(text, now + lifetime_s, scopes)

    def _stepped_up(self, caller: Caller, scopes: tuple[str, ...], account: str | None) -> tuple[str, ...]:
        auth = caller.auth_token
        if auth is None or auth.account != account:
            return scopes
        kept = [scope for scope in auth.scope or () if scope in self.scopes or scope in IDENTITY_SCOPES]
        return tuple(dict.fromkeys([*kept, *scopes]))

    async def _check_identity_scopes(self, person_server: str, scopes: Iterable[str]) -> None:
        """A resource token names only identity scopes the person server declares (#scopes)."""
        wanted = {scope for scope in scopes if scope not in self.scopes}
        if not wanted:
            return
        if not wanted <= IDENTITY_SCOPES:
            raise InvalidScope("The scope has a value this resource does not define; see its scope_descriptions.")

        def flow() -> Flow[PersonServerMetadata]:
            document = yield FindMetadata(person_server, PERSON_DWK)
            return read_metadata(PersonServerMetadata, document, issuer=person_server, dev=self.dev)

        try:
            offered = (await self.wire.run(flow())).scopes_supported or ()
        except AAuthError as error:
            raise TemporarilyUnavailable("The person server's metadata cannot be had at the moment.") from error
        if not wanted <= set(offered):
            raise InvalidScope("The person's person server does not offer an identity scope that was asked for.")
