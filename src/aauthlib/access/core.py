"""What every part of the access server stands on: its name, its keys, its store, and who is calling.

#access-server-metadata, #verification. The endpoints are in `endpoints` and `revocation`, the person's side in `desk`.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol, TypeVar

from ..base64url import b64url_encode
from ..deferred.pending import DEFAULT_LIFETIME_S, PendingRequests
from ..discovery.own_keys import with_own_keys
from ..effects import Clock, Flow
from ..errors import AccessDenied
from ..http import Request
from ..httpsig import JWKSURI, MemoryReplayCache, ReplayCache, SignaturePolicy, refuse_replay, sign
from ..identifiers import server_identifier
from ..keys import DEFAULT_ALGORITHMS, JWKS
from ..messages.metadata import AccessServerMetadata
from ..store.keyring import KeyRing
from ..tokens import ACCESS_DWK, MAX_LIFETIME_S, PERSON_DWK, TokenCache, VerificationPolicy
from ..verification import SigningServer, authenticate, signature_required
from .decisions import Verdict
from .facts import Facts
from .payment import Settlement
from .policy import Policy
from .storage import AccessStore
from .trust import Limits, Trust, Turnstile

__all__ = [
    "AUTH_TOKEN_PATH",
    "JWKS_PATH",
    "REVOCATION_PATH",
    "AccessServerCore",
    "FlowRunner",
    "load_keys",
]

_T = TypeVar("_T")

_SIGNATURE = SignaturePolicy(schemes=("jwks_uri",), cover_body=True)
_PURGE_EVERY_S = 60.0

JWKS_PATH = "/.well-known/aauth-access-jwks.json"
AUTH_TOKEN_PATH = "/auth-token"
REVOCATION_PATH = "/revocation"


class FlowRunner(Protocol):
    """Carries out a flow: `transport.AsyncWire`."""

    async def run(self, flow: Flow[_T]) -> _T:
        """Run `flow` to its end."""


async def load_keys(store: AccessStore, *, clock: Clock) -> KeyRing:
    """The keys in the store; made and kept there if it has none."""
    ring = KeyRing(store.signing_keys, clock=clock, longest_token_s=MAX_LIFETIME_S)
    await ring.refresh()
    return ring


class AccessServerCore:
    """State and services shared by the access server's parts. Use `AccessServer`.

    - `policy` decides; `trust` are the person servers that are pre-established.
    - `resources` are those this server decides for; `None` for any that names it as `aud`.
    - `base` is a path that everything but the well-known documents is under, such as `/access`.
    - `person_of` says which account here a person of the person server at the very same identifier is
      (#ps-as-collapse): by the resource, and `sub` there.
    - `interactive` says that the person can sign in at this server; without it no policy can demand it.
    - `on_decision` is told every decision with the facts it was made on, for recording, before one that this server
      cannot carry out becomes a denial.
    """

    def __init__(
        self,
        *,
        issuer: str,
        store: AccessStore,
        wire: FlowRunner,
        keys: KeyRing,
        policy: Policy,
        clock: Clock,
        dev: bool = False,
        name: str | None = None,
        description: str | None = None,
        logo_uri: str | None = None,
        trust: Trust | None = None,
        limits: Limits | None = None,
        resources: Collection[str] | None = None,
        settlement: Settlement | None = None,
        base: str = "",
        person_of: Callable[[str, str], Awaitable[str | None]] | None = None,
        interactive: bool = False,
        lifetime_s: int = DEFAULT_LIFETIME_S,
        hold_s: float = 20.0,
        replay: ReplayCache | None = None,
        on_decision: Callable[[Facts, Verdict], None] | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.issuer: str = server_identifier(issuer, dev=dev)
        self.store, self.wire, self.keys, self.clock, self.dev = store, wire, keys, clock, dev
        self.decider = policy
        self.root = self.issuer + base
        self.person_of = person_of
        known = trust or Trust({})
        if person_of is not None:
            # Trust between the two is implicit, because they are the same (#ps-as-collapse).
            known = Trust({**known.person_servers, self.issuer: None})
        self.turnstile = Turnstile(known, limits or Limits(), clock=clock)
        self.resources = None if resources is None else frozenset(resources)
        self.settlement, self.interactive = settlement, interactive
        self.lifetime_s, self.hold_s = lifetime_s, hold_s
        self.pending = PendingRequests(
            store, issuer=self.root, clock=clock, lifetime_s=lifetime_s, random_bytes=random_bytes
        )
        self.policy = VerificationPolicy(dev=dev)
        self.cache = TokenCache()
        self.replay: ReplayCache = replay if replay is not None else MemoryReplayCache()
        self.on_decision = on_decision
        self._random_bytes = random_bytes
        self._about = (name, description, logo_uri)
        self._purged_at = clock()

    def metadata(self) -> AccessServerMetadata:
        """The document at `/.well-known/aauth-access.json` (#access-server-metadata)."""
        name, description, logo_uri = self._about
        return AccessServerMetadata(
            issuer=self.issuer,
            jwks_uri=self.issuer + JWKS_PATH,
            auth_token_endpoint=self.root + AUTH_TOKEN_PATH,
            revocation_endpoint=self.root + REVOCATION_PATH,
            accept_signature_algs=list(DEFAULT_ALGORITHMS),
            name=name,
            description=description,
            logo_uri=logo_uri,
        )

    def jwks(self) -> JWKS:
        """The public keys to publish: the one that signs, the one that will, those whose tokens still live."""
        return self.keys.published

    async def refresh_keys(self) -> None:
        """See which keys there are by now, before they are published or used. Cheap to call often."""
        await self.keys.refresh()

    async def rotate_signing_key(self, *, at_once: bool = False) -> None:
        """Publish a new key now; it signs once others have had time to see it, or at once."""
        await self.keys.rotate(at_once=at_once)

    # ------------------------------------------------------------------ for the parts

    async def run(self, flow: Flow[_T]) -> _T:
        """Carry out a flow, with this server's own keys at hand."""
        await self.refresh_keys()
        return await self.wire.run(with_own_keys(flow, issuer=self.issuer, dwk=ACCESS_DWK, keys=self.keys.published))

    async def calling_server(self, request: Request) -> SigningServer:
        """The server that signed `request` in its own right (`jwks_uri`), body covered. Raises a `SignatureError`."""
        caller = await self.run(
            authenticate(
                request,
                now=self.clock(),
                signature=_SIGNATURE,
                tokens=self.policy,
                accepted=(),
            )
        )
        if caller.server is None or caller.signed is None or caller.key is None:
            raise signature_required("Sign the request as a server (scheme jwks_uri).", _SIGNATURE)
        await refuse_replay(self.replay, caller.signed, caller.key, now=self.clock())
        return caller.server

    async def calling_person_server(self, request: Request) -> str:
        """The person server that signed `request`. Raises a `SignatureError`, or `AccessDenied` for another role."""
        server = await self.calling_server(request)
        if server.dwk != PERSON_DWK:
            raise AccessDenied("Person servers call an access server's token endpoint, nobody else.")
        return server.id

    def signed(self, request: Request) -> Request:
        """`request`, signed by this server in its own right."""
        key = self.keys.signing
        return sign(request, key, JWKSURI(self.issuer, ACCESS_DWK, key.kid), created=int(self.clock()))

    def random_id(self) -> str:
        """256 random bits in hex."""
        return self._random_bytes(32).hex()

    def random_jti(self) -> str:
        """128 random bits, for a token's name."""
        return b64url_encode(self._random_bytes(16))

    async def tidy(self) -> None:
        """Drop what has served its time, now and then."""
        now = self.clock()
        if now - self._purged_at >= _PURGE_EVERY_S:
            self._purged_at = now
            await self.store.purge(now=now)
