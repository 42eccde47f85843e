"""The agent provider as a server: enrolment, refresh, sub-agents, revocation (#agent-tokens, #sub-agents).

`AgentProvider` takes and returns plain requests and responses and awaits a store and a wire. It knows no web framework
and no SQL, and no person: binding an agent to one is the person server's business.

Wire of the three ceremonies, which the bootstrap document leaves to each provider. Bodies are JSON and are covered by
the signature; answers are `{"agent", "agent_token", "expires_in"}`.

- enrolment: POST `{"ps", "label", "invitation"}`, each optional, under `hwk` by the durable key. `201`, or `200` when
  that key is enrolled already, which changes nothing.
- refresh: POST `{"ps"}`, optional, under `jkt-jwt` by a fresh key that the durable key names in a JWT with a `jti` of
  one use, or under `hwk` by the durable key itself. The token is bound to the key that signed.
- sub-agent: POST `{"discriminator", "jwk"}` under `jwt` by the parent, with its agent token.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Collection, Sequence

from ..base64url import b64url_encode
from ..discovery import StaticDirectory
from ..effects import Clock
from ..errors import (
    ExpiredJWT,
    InvalidIdentifier,
    InvalidJWT,
    InvalidRequest,
    InvalidSignature,
    RevokedJWT,
    SignatureError,
)
from ..http import Request, Response, json_response
from ..httpsig import MemoryReplayCache, ReplayCache, SignaturePolicy, refuse_replay
from ..identifiers import AgentIdentifier, server_identifier
from ..keys import JWKS, PublicKey
from ..messages.bodies import decode_request
from ..messages.metadata import AgentProviderMetadata, dump_metadata
from ..store.keyring import KeyRing
from ..store.provider_records import (
    Delegation,
    Enrollment,
    EnrollmentRefused,
    EnrollmentRevoked,
    EnrollmentUnknown,
    IssuedToken,
    ProviderStore,
)
from ..tokens import AgentToken, VerificationPolicy, issue_agent_token
from ..tokens.jkt import JKTDelegation
from ..verification import Caller, Level, authenticate, signature_required
from .enrollment import EnrollmentGate, EnrollmentRequest, RefreshRequest, SubagentRequest, checked_ps
from .limits import RateLimit
from .own_keys import with_own_keys
from .revocation import RevokedToken
from .telling import AsyncRunner, Telling

__all__ = ["ENROLLMENT_PATH", "JWKS_PATH", "REFRESH_PATH", "SUBAGENT_PATH", "AgentProvider"]

JWKS_PATH = "/.well-known/jwks.json"
ENROLLMENT_PATH = "/enroll"
REFRESH_PATH = "/refresh"
SUBAGENT_PATH = "/subagent"

DEFAULT_LIFETIME_S = 3600
MAX_LIFETIME_S = 86_400
#: How far ahead a naming JWT may expire: it is used once, within moments.
MAX_DELEGATION_S = 600
DEFAULT_MAX_ENROLLMENTS = 100_000
_LIST_PAGE = 100


class AgentProvider:
    """One agent provider.

    - `issuer`: its server identifier; agents are `aauth:<random>@` its host.
    - `store`, `wire`, `clock`: what it keeps, how it calls person servers, Unix seconds.
    - `metadata`: name, logo and the other display members; the issuer and the endpoints are filled in.
    - `person_servers`: the only ones agents may name; `None` for any.
    - `gate`: who may enrol; `None` for everybody.
    - `token_lifetime_s`: of agent tokens, at most 24 hours.
    - `keys`: the signing keys; by default kept in the store and rotated monthly.
    - `replay`: where received requests are remembered; in memory by default, `store.replay` for several processes.
    - `max_enrollments`: installs it holds; an open provider should be watched for those that nobody uses.
    - `..._per_minute`: limits on new installs and refused invitations (all callers together) and tokens (per install).
    """

    def __init__(
        self,
        issuer: str,
        *,
        store: ProviderStore,
        wire: AsyncRunner,
        clock: Clock,
        dev: bool = False,
        metadata: AgentProviderMetadata | None = None,
        person_servers: Collection[str] | None = None,
        gate: EnrollmentGate | None = None,
        token_lifetime_s: int = DEFAULT_LIFETIME_S,
        keys: KeyRing | None = None,
        enrollments_per_minute: int = 120,
        max_enrollments: int = DEFAULT_MAX_ENROLLMENTS,
        refused_per_minute: int = 30,
        tokens_per_minute: int = 30,
        replay: ReplayCache | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.issuer = server_identifier(issuer, dev=dev)
        self.dev = dev
        if not 0 < token_lifetime_s <= MAX_LIFETIME_S:
            raise ValueError(f"Agent tokens live for 1 to {MAX_LIFETIME_S} seconds.")
        self._store, self._wire, self._clock, self._random_bytes = store, wire, clock, random_bytes
        self._display = metadata or AgentProviderMetadata(issuer=issuer)
        self._person_servers = None if person_servers is None else frozenset(person_servers)
        self._gate, self._max_enrollments = gate, max_enrollments
        self._lifetime_s = token_lifetime_s
        self._replay: ReplayCache = replay if replay is not None else MemoryReplayCache()
        self._keys = keys or KeyRing(store.signing_keys, clock=clock, longest_token_s=token_lifetime_s)
        self._enrollments = RateLimit(enrollments_per_minute, window_s=60, clock=clock)
        self._refusals = RateLimit(refused_per_minute, window_s=60, clock=clock)
        self._tokens = RateLimit(tokens_per_minute, window_s=60, clock=clock)
        self._telling = Telling(self.issuer, store=store, wire=wire, clock=clock, dev=dev)
        self._domain = self.issuer.partition("://")[2]

    # ------------------------------------------------------------------ what it publishes

    def metadata(self) -> AgentProviderMetadata:
        """`aauth-agent.json` (#agent-provider-metadata)."""
        display = {name: value for name, value in dump_metadata(self._display).items() if name != "issuer"}
        own = {
            "jwks_uri": self.issuer + JWKS_PATH,
            "callback_endpoint": self.issuer + "/callback",
            "enrollment_endpoint": self.issuer + ENROLLMENT_PATH,
            "refresh_endpoint": self.issuer + REFRESH_PATH,
            "subagent_endpoint": self.issuer + SUBAGENT_PATH,
        }
        return AgentProviderMetadata(issuer=self.issuer, **{**display, **own})

    async def jwks(self) -> JWKS:
        """The keys to publish: the one that signs, the one that will, and those whose tokens still live."""
        await self._keys.refresh()
        return self._keys.published

    async def rotate_keys(self, *, at_once: bool = False) -> None:
        """Publish a new signing key now; it signs once verifiers have had time to see it, or at once."""
        await self._keys.rotate(at_once=at_once)

    # ------------------------------------------------------------------ the ceremonies

    async def enroll(self, request: Request) -> Response:
        """POST `enrollment_endpoint` (#per-install-identity).

        Raises a `SignatureError`, `InvalidRequest`, `RateLimited`, `EnrollmentRefused` or `EnrollmentRevoked`.
        """
        caller = await self._authenticate(request, ("hwk",))
        key = _key(caller)
        body = decode_request(EnrollmentRequest, request)
        body.check()
        ps = checked_ps(body.ps, allowed=self._person_servers, dev=self.dev)
        known = await self._store.enrollment(key.thumbprint)
        if known is None:
            await self._admit(body, key)
        enrollment, created = await self._store.enroll(
            Enrollment(
                thumbprint=key.thumbprint,
                agent=str(self._new_agent()),
                label=body.label,
                ps=ps,
                enrolled_at=self._clock(),
            ),
            most=self._max_enrollments,
        )
        return await self._issue(enrollment, cnf=key, ps=ps or enrollment.ps, status=201 if created else 200)

    async def refresh(self, request: Request) -> Response:
        """POST `refresh_endpoint` (#two-key-refresh, #single-key-refresh).

        Raises a `SignatureError`, `InvalidRequest`, `RateLimited`, `EnrollmentUnknown` or `EnrollmentRevoked`.
        """
        caller = await self._authenticate(request, ("jkt-jwt", "hwk"))
        delegation = self._delegation(caller.delegation) if caller.delegation is not None else None
        body = decode_request(RefreshRequest, request) if request.body else RefreshRequest()
        ps = checked_ps(body.ps, allowed=self._person_servers, dev=self.dev)
        enrollment = await self._store.enrollment(caller.pseudonym or "")
        if enrollment is None:
            raise EnrollmentUnknown("No agent is enrolled here with this durable key; enrol first.")
        return await self._issue(enrollment, cnf=_key(caller), ps=ps or enrollment.ps, delegation=delegation)

    async def subagent(self, request: Request) -> Response:
        """POST `subagent_endpoint` (#sub-agents): a token for an agent of the caller's, under the caller's identifier.

        Raises a `SignatureError`, `InvalidRequest`, `RateLimited` or `EnrollmentRevoked`.
        """
        caller = await self._authenticate(request, ("jwt",))
        parent = caller.agent_token
        if parent is None:
            raise InvalidJWT("Sign with the parent's agent token.")
        if parent.parent_agent is not None:
            raise InvalidRequest("A sub-agent cannot have sub-agents of its own: delegation is one level deep.")
        body = decode_request(SubagentRequest, request)
        child, key = _subagent(parent, body, dev=self.dev)
        enrollment = await self._store.enrollment_of(parent.sub)
        if enrollment is None:
            raise EnrollmentUnknown("The parent is not enrolled at this agent provider.")
        if enrollment.revoked_at is not None:
            raise RevokedJWT("The parent's enrolment was revoked.")
        return await self._issue(enrollment, cnf=key, ps=parent.ps, parent=parent, agent=child)

    # ------------------------------------------------------------------ for whoever runs the provider

    async def installs(self, *, limit: int = _LIST_PAGE, after: str = "") -> Sequence[Enrollment]:
        """Enrolled installs in the order of their identifiers, `limit` at a time, from the one following `after`."""
        return await self._store.enrollments(limit=limit, after=after)

    async def revoke(self, agent: str) -> Sequence[RevokedToken]:
        """Revoke the enrolment of `agent` and tell the person servers of its living tokens (#revocation-cascade).

        From the moment of the call nothing is issued to it or its sub-agents. Returns one outcome for each token that
        was alive; calling it again repeats only what did not succeed, as `tell_again` does by itself. Raises
        `EnrollmentUnknown`.
        """
        open_tokens = await self._store.revoke_enrollment(agent, now=self._clock())
        await self._keys.refresh()
        return await self._telling.tell(open_tokens, self._keys.signing)

    async def tell_again(self) -> int:
        """Tell person servers of revocations that they could not be told of before (#revocation-cascade).

        To be called every few seconds, as the lifespan of `build_provider_app` does. Returns how many were confirmed.
        """
        await self._keys.refresh()
        return await self._telling.tell_again(self._keys.signing)

    # ------------------------------------------------------------------ steps

    async def _authenticate(self, request: Request, schemes: tuple[str, ...]) -> Caller:
        """#verification. The only tokens accepted are this provider's own, so nothing is ever fetched."""
        signature = SignaturePolicy(schemes=schemes, cover_body=True)
        flow = authenticate(
            request,
            now=self._clock(),
            signature=signature,
            tokens=VerificationPolicy(dev=self.dev),
            accepted=(AgentToken,),
        )
        caller = with_own_keys(flow, StaticDirectory(keys={self.issuer: await self.jwks()}))
        if caller.level is Level.ANONYMOUS:
            raise signature_required(
                f"Sign the request, with the Signature-Key scheme {' or '.join(schemes)}.", signature
            )
        if caller.agent_token is not None:
            issued = await self._store.issued(caller.agent_token.jti)
            if issued is None or issued.revoked_at is not None:
                raise RevokedJWT("The agent token was revoked; refresh at this agent provider.")
        if caller.signed is not None and caller.key is not None:
            await refuse_replay(self._replay, caller.signed, caller.key, now=self._clock())
        return caller

    async def _admit(self, body: EnrollmentRequest, key: PublicKey) -> None:
        self._refusals.check()
        self._enrollments.count()
        if self._gate is None:
            return
        try:
            await self._gate.admit(body, key)
        except EnrollmentRefused:
            self._refusals.count()
            raise

    def _new_agent(self) -> AgentIdentifier:
        """128 random bits in lowercase letters and digits, which every reader of identifiers takes."""
        local = base64.b32encode(self._random_bytes(16)).decode("ascii").rstrip("=").lower()
        return AgentIdentifier.parse(f"aauth:{local}@{self._domain}", dev=self.dev)

    def _delegation(self, delegation: JKTDelegation) -> Delegation:
        """#two-key-refresh, step 4: the naming JWT is short-lived and used once."""
        if delegation.jti is None:
            raise InvalidJWT("The naming JWT needs a jti, since it is accepted once.")
        if delegation.exp > self._clock() + MAX_DELEGATION_S:
            raise InvalidJWT(f"The naming JWT must expire within {MAX_DELEGATION_S} seconds.")
        if delegation.ephemeral.thumbprint == delegation.durable.thumbprint:
            raise InvalidJWT("The naming JWT names its own key; use the hwk scheme to refresh with one key.")
        name = f"{delegation.durable.thumbprint} {delegation.jti}"
        return Delegation(hashlib.sha256(name.encode("utf-8", "replace")).hexdigest(), delegation.exp)

    async def _issue(
        self,
        enrollment: Enrollment,
        *,
        cnf: PublicKey,
        ps: str | None,
        status: int = 200,
        delegation: Delegation | None = None,
        parent: AgentToken | None = None,
        agent: str | None = None,
    ) -> Response:
        """Issue an agent token, recorded before it leaves, so that a revocation can reach it."""
        if enrollment.revoked_at is not None:
            raise EnrollmentRevoked("The enrolment of this key was revoked; enrol anew with another key.")
        self._tokens.count(enrollment.thumbprint)
        now = self._clock()
        lifetime_s = self._lifetime_s
        if parent is not None:
            lifetime_s = min(lifetime_s, int(parent.exp) - int(now))
            if lifetime_s <= 0:
                raise ExpiredJWT("The parent's agent token is about to expire; refresh it first.")
        exp = int(now) + lifetime_s
        jti = b64url_encode(self._random_bytes(16))
        sub = agent or enrollment.agent
        await self._store.record_issued(
            enrollment.thumbprint, IssuedToken(jti=jti, agent=sub, ps=ps, exp=exp), now=now, delegation=delegation
        )
        token = issue_agent_token(
            self._keys.signing,
            iss=self.issuer,
            sub=sub,
            cnf=cnf,
            jti=jti,
            now=now,
            lifetime_s=lifetime_s,
            ps=ps,
            parent_agent=parent.sub if parent is not None else None,
        )
        return json_response(status, {"agent": sub, "agent_token": token, "expires_in": lifetime_s})


def _key(caller: Caller) -> PublicKey:
    if caller.key is None:
        raise InvalidSignature("The request is not signed.")
    return caller.key


def _subagent(parent: AgentToken, body: SubagentRequest, *, dev: bool) -> tuple[str, PublicKey]:
    """The sub-agent's identifier and key as asked for by its parent. Raises `InvalidRequest`."""
    try:
        child = AgentIdentifier.parse(parent.sub, dev=dev).sub_agent(body.discriminator)
        key = PublicKey.from_jwk(body.jwk)
    except (InvalidIdentifier, SignatureError) as error:
        raise InvalidRequest(error.detail) from error
    if key == parent.cnf:
        raise InvalidRequest("jwk must be the sub-agent's own key, not its parent's.")
    return str(child), key
