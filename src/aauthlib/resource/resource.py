"""The resource role: decides what each request may do, and answers what the protocol asks of a resource
(#resource-tokens, #authorization-endpoint-request, #token-revocation, #resource-metadata).

Framework-free: `web.resource` puts it in front of an ASGI application. Holds no state of its own beyond caches and rate
limits; what must be kept is in its store.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

from ..deferred.pending import PendingRequests
from ..effects import Clock
from ..errors import (
    AccessDenied,
    ConfigurationError,
    InvalidIdentifier,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
)
from ..http import Fields, Request, Response, json_response
from ..httpsig import DEFAULT_WINDOW_S, ReplayCache, SignaturePolicy
from ..identifiers import server_identifier
from ..keys import DEFAULT_ALGORITHMS, JWKS, PublicKey, SigningKey
from ..messages.bodies import AuthorizationRequest, decode_request
from ..messages.headers import accept_signature, parse_prefer_wait
from ..messages.metadata import ResourceMetadata, dump_metadata
from ..tokens import RESOURCE_DWK, TokenCache, VerificationPolicy
from ..verification import SCHEME_FLOWS, Caller, Level, SchemeSupport, signature_key_cache, signature_required
from .callers import SCHEMES, AsyncRunner, CallerVerifier
from .challenges import (
    PSEUDONYM_SCHEMES,
    Challenge,
    agent_token_required,
    auth_token_required,
    person_token_required,
    pseudonym_required,
    rate_limited,
)
from .counting import count
from .grant import Decision, Grant, grant_of
from .held import HeldInvocations, HeldPolicy
from .interaction import Interactions, SignIn, owner_of
from .issuing import IDENTITY_SCOPES, AccountHolder, ResourceTokens, satisfies
from .policy import AccessRule, Match, Policy
from .ratelimit import Limit, RateLimiter
from .revocations import accept_revocation
from .sessions import SessionPolicy, Sessions, presented_session
from .storage import ResourceStore
from .withdrawing import withdraw

__all__ = ["Execute", "Resource"]

#: Carries out a held invocation for the grant it was finally given.
Execute = Callable[[Request, Grant], Awaitable[Response]]

_AUTHORIZATION_LIMIT = Limit(60, 60.0)
_MAX_SCOPE_LENGTH = 4096
_MAX_ACCOUNT_LENGTH = 1024


class Resource:
    """One resource: its identity, its scopes, and its decisions.

    `issuer` is its identifier, `signing_key` what it signs resource tokens with (a resource that asks for no auth token
    needs none), `wire` carries out look-ups of other parties' keys and metadata (`transport.AsyncWire`), `scopes` maps
    each scope value to its description in Markdown. `access_server` is the resource's AS; without one the person's own
    person server grants access. `algorithms` are accepted of keys and tokens, `schemes` of `Signature-Key`; `x509`,
    `self-jwt` and `cached` are off by default and need their part of `scheme_support`. `replay` remembers
    state-changing requests so that a captured one cannot be sent again within the signature window
    (#freshness-and-replay); by default nothing is remembered. `on_resource_token` is told each resource token as it is
    issued, for an application that may `withdraw` it. Raises `ConfigurationError` for settings that cannot work.
    """

    def __init__(
        self,
        *,
        issuer: str,
        wire: AsyncRunner,
        store: ResourceStore,
        signing_key: SigningKey | None = None,
        further_keys: Iterable[PublicKey] = (),
        clock: Clock = time.time,
        dev: bool = False,
        scopes: Mapping[str, str] | None = None,
        access_server: str | None = None,
        person_servers: Collection[str] | None = None,
        access_mode: str | None = None,
        name: str | None = None,
        description: str | None = None,
        logo_uri: str | None = None,
        logo_dark_uri: str | None = None,
        documentation_uri: str | None = None,
        tos_uri: str | None = None,
        policy_uri: str | None = None,
        prefix: str = "/aauth/",
        signature_window_s: int = DEFAULT_WINDOW_S,
        additional_signature_components: Iterable[str] = (),
        algorithms: tuple[str, ...] = DEFAULT_ALGORITHMS,
        schemes: tuple[str, ...] = SCHEMES,
        scheme_support: SchemeSupport | None = None,
        account_holder: AccountHolder | None = None,
        sign_in: SignIn | None = None,
        sessions: SessionPolicy | None = None,
        held: HeldPolicy | None = None,
        replay: ReplayCache | None = None,
        on_resource_token: Callable[[str], None] | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        try:
            self.issuer: str = server_identifier(issuer, dev=dev)
            for server in (*([access_server] if access_server else ()), *(person_servers or ())):
                server_identifier(server, dev=dev)
        except InvalidIdentifier as error:
            raise ConfigurationError(
                f"The resource or a server it names has no valid identifier: {error.detail}"
            ) from error
        if not (prefix.startswith("/") and prefix.endswith("/") and "//" not in prefix):
            raise ConfigurationError("prefix starts and ends with a slash, such as '/aauth/'.")
        self.prefix = prefix
        self.scopes = dict(scopes or {})
        self.access_server = access_server
        self.additional_signature_components = tuple(additional_signature_components)
        self.sign_in = sign_in
        self.clock = clock
        self.dev = dev
        self.store = store
        self._signing_key = signing_key
        self._further_keys = tuple(further_keys)
        self._account_holder = account_holder
        self.limiter = RateLimiter(clock)
        self._metadata = ResourceMetadata(
            issuer=self.issuer,
            jwks_uri=f"{self.issuer}{prefix}jwks.json" if signing_key is not None else None,
            accept_signature_algs=list(algorithms),
            access_mode=access_mode,
            name=name,
            description=description,
            logo_uri=logo_uri,
            logo_dark_uri=logo_dark_uri,
            documentation_uri=documentation_uri,
            tos_uri=tos_uri,
            policy_uri=policy_uri,
            authorization_endpoint=f"{self.issuer}{prefix}authorize" if signing_key is not None and scopes else None,
            scope_descriptions=self.scopes or None,
            signature_window=signature_window_s if signature_window_s != DEFAULT_WINDOW_S else None,
            additional_signature_components=list(self.additional_signature_components) or None,
            revocation_endpoint=f"{self.issuer}{prefix}revoke",
        )
        support = scheme_support if scheme_support is not None else SchemeSupport()
        unsupported = set(schemes) - set(support.schemes(schemes)) | set(schemes) - SCHEME_FLOWS.keys()
        if unsupported:
            raise ConfigurationError(
                f"The scheme {min(unsupported)} is not one this resource can verify: x509, self-jwt and cached need "
                "their part of scheme_support."
            )
        self.signature = SignaturePolicy(
            schemes=schemes,
            algorithms=algorithms,
            window_s=signature_window_s,
            components=self.additional_signature_components,
        )
        self._callers = CallerVerifier(
            issuer=self.issuer,
            wire=wire,
            store=store,
            clock=clock,
            signature=self.signature,
            support=support,
            tokens=VerificationPolicy(algorithms=algorithms, dev=dev, iat_window_s=signature_window_s),
            cache=TokenCache(),
            access_server=access_server,
            person_servers=None if person_servers is None else frozenset(person_servers),
            replay=replay,
        )
        self._tokens = ResourceTokens(
            issuer=self.issuer,
            signing_key=signing_key,
            wire=wire,
            clock=clock,
            dev=dev,
            scopes=self.scopes,
            access_server=access_server,
            account_holder=account_holder,
            on_issued=on_resource_token,
            random_bytes=random_bytes,
        )
        self._sessions = Sessions(store, clock=clock, policy=sessions or SessionPolicy(), random_bytes=random_bytes)
        self._pending = PendingRequests(
            store,
            issuer=self.issuer,
            clock=clock,
            path=f"{prefix}pending/",
            interaction_path=f"{prefix}interaction/",
            random_bytes=random_bytes,
        )
        self.interactions = Interactions(
            store, self._pending, wire=wire, sessions=self._sessions, scopes=self.scopes, clock=clock, dev=dev
        )
        self.held_policy = held or HeldPolicy()
        self._held = HeldInvocations(
            store,
            url=f"{self.issuer}{prefix}pending/",
            clock=clock,
            limiter=self.limiter,
            policy=self.held_policy,
            random_bytes=random_bytes,
        )

    # ---------------------------------------------------------------- what it publishes

    def metadata(self) -> ResourceMetadata:
        """#resource-metadata, published at `/.well-known/aauth-resource.json`."""
        return self._metadata

    def metadata_document(self) -> dict[str, object]:
        """The JSON document of `metadata`."""
        return dump_metadata(self._metadata)

    def jwks(self) -> JWKS:
        """The keys its resource tokens verify with."""
        own = [] if self._signing_key is None else [self._signing_key]
        return JWKS.of(*own, *self._further_keys)

    async def withdraw(self, resource_token: str) -> dict[str, str]:
        """Take back a resource token: nothing is issued for it any more, what waits for it ends (#who-revokes-what).

        Returns how telling each server that could redeem it ended: `recorded`, `revocation_unsupported` or
        `revocation_unavailable`. Raises `TokenInvalid` for a token of another resource.
        """
        if self._signing_key is None:
            raise ConfigurationError("This resource has no signing_key, so it has issued no resource token.")
        return await withdraw(
            resource_token,
            issuer=self.issuer,
            key=self._signing_key,
            wire=self._callers.wire,
            clock=self.clock,
            dev=self.dev,
        )

    @property
    def invitation(self) -> list[tuple[str, str]]:
        """The header fields that tell an unsigned caller how to sign (HTTP Signature Keys, Section 4.4)."""
        schemes = [scheme for scheme in PSEUDONYM_SCHEMES if scheme in self.signature.schemes]
        return accept_signature(schemes or self.signature.schemes, self.signature.algorithms)

    @property
    def documentation_link(self) -> str:
        """The `Link` header for the documentation page, by which agents find the metadata (#resource-metadata-link)."""
        return f'<{self.issuer}/.well-known/{RESOURCE_DWK}>; rel="aauth-resource"'

    def check_policy(self, policy: Policy) -> None:
        """Raise `ConfigurationError` when `policy` asks for what this resource was not set up to do."""
        for rule in policy.rules:
            self.check_rule(rule)

    def check_rule(self, rule: AccessRule) -> None:
        """Raise `ConfigurationError` when `rule` asks for what this resource was not set up to do."""
        unknown = [s for s in rule.scopes if s not in self.scopes and (rule.session or s not in IDENTITY_SCOPES)]
        if unknown:
            raise ConfigurationError(f"The policy asks for {unknown[0]!r}, which is not among the resource's scopes.")
        if rule.level is Level.AUTHORIZED and not rule.denied and self._signing_key is None:
            raise ConfigurationError("A route that asks for an auth token needs a resource with a signing_key.")
        if rule.session and self.sign_in is None:
            raise ConfigurationError("A managed() route needs a sign_in hook: who signs in on the resource's page?")
        if rule.account is not None and self._account_holder is None:
            raise ConfigurationError("A route bound to an account needs an account_holder hook.")

    # ---------------------------------------------------------------- deciding

    async def decide(self, request: Request, match: Match, *, client: str = "") -> Decision:
        """Decide on one request to the application.

        `request` is as received, with this resource as its origin; `match` is what the policy says about it; `client`
        is the address it came from, by which anonymous callers are counted. Returns the decision to serve it, or
        raises the `Challenge` or error whose response `refusal` makes.
        """
        if match.rule.denied:
            if match.allow:
                raise MethodNotAllowed("This resource does not take that method here.", allow=match.allow)
            raise NotFound("There is nothing here for this caller.")
        return await self.admit(request, await self.verify(request), match, client=client)

    async def verify(self, request: Request) -> Caller:
        """Who calls (#verification): anonymous when nothing is presented, else what was proved.

        Raises the error of whatever was presented and does not verify. Remembers a state-changing request when the
        resource has a `replay` cache, so one request is verified once.
        """
        return await self._callers.verify(request)

    async def admit(self, request: Request, caller: Caller, match: Match, *, client: str = "") -> Decision:
        """As `decide`, for a `caller` that `verify` returned for this very `request`."""
        rule = match.rule
        token = presented_session(request, caller)
        if rule.session:
            decision = await self._managed(caller, token, rule)
        else:
            self._check_level(caller, rule)
            account = match.parameters[rule.account] if rule.account is not None else None
            if rule.level is Level.AUTHORIZED and not satisfies(caller, rule.scopes, account):
                raise await self._auth_challenge(request, caller, rule, account)
            decision = Decision(await self._grant(caller))
        if caller.cache_offer is not None:
            decision = Decision(decision.grant, (*decision.headers, signature_key_cache(caller.cache_offer)))
        count(self.limiter, caller, match, client)
        return decision

    def _check_level(self, caller: Caller, rule: AccessRule) -> None:
        if rule.level is Level.ANONYMOUS or caller.level >= rule.level:
            self._check_allowed(caller, rule)
        elif rule.level is Level.PSEUDONYM:
            raise pseudonym_required()
        elif rule.level is Level.IDENTIFIED:
            raise agent_token_required()
        elif caller.presented is None:
            # An auth token is granted to a person, and the resource token names them.
            raise person_token_required()

    def _check_allowed(self, caller: Caller, rule: AccessRule) -> None:
        if rule.allow is None:
            return
        if caller.agent_token is not None:
            names = {caller.agent_token.iss, caller.agent_token.sub}
        elif caller.server is not None:
            names = {caller.server.id}
        elif caller.signer is not None:
            names = {caller.signer[1]}
        else:
            # A person or auth token does not say which agent presents it.
            raise agent_token_required("Present your agent token: this resource decides by who the agent is.")
        if not names & rule.allow:
            raise AccessDenied("This agent is not among those this resource lets in here.")

    async def _grant(self, caller: Caller) -> Grant:
        presented = caller.presented
        if presented is None:
            return grant_of(caller)
        # #request-context-binding: (iss, sub) matches or establishes the record of this person. The namespace of `sub`
        # is the person server's, also in an auth token that an access server issued.
        record = await self.store.see_person(presented.person_server, presented.sub, presented.tenant, self.clock())
        return grant_of(caller, record=record)

    # ---------------------------------------------------------------- asking for an auth token

    async def _auth_challenge(
        self, request: Request, caller: Caller, rule: AccessRule, account: str | None
    ) -> Challenge:
        """The challenge for an auth token, or the `202` that holds the invocation."""
        token = await self._tokens.issue(caller, rule.scopes, account)
        if rule.delivery == "202" and caller.key is not None:
            response = await self._held.open(
                request, agent_jkt=caller.key.thumbprint, scopes=rule.scopes, account=account, token=token
            )
            if response is not None:
                return Challenge("The invocation is held until an auth token is presented.", response)
        return auth_token_required(token.text, token.scopes)

    # ---------------------------------------------------------------- resource-managed access

    async def _managed(self, caller: Caller, token: str | None, rule: AccessRule) -> Decision:
        agent = caller.agent_token
        if agent is None:
            raise agent_token_required()
        session = await self._sessions.use(token, agent.identity) if token is not None else None
        if session is None or not set(rule.scopes) <= set(session.scope):
            kept = session.scope if session is not None else ()
            wanted = tuple(dict.fromkeys([*kept, *rule.scopes]))
            response = await self.interactions.open(agent, wanted)
            raise Challenge("The person is asked on this resource's own page.", response)
        replacement = await self._sessions.replacement(session)
        headers = (("aauth-access", replacement),) if replacement is not None else ()
        return Decision(grant_of(caller, session=session), headers)

    async def end_sessions(self, user: str) -> int:
        """End every session of one of the application's users; how many there were."""
        return await self.store.end_sessions(user)

    # ---------------------------------------------------------------- protocol endpoints

    async def authorize(self, request: Request) -> Response:
        """The authorization endpoint (#authorization-endpoint-request): a resource token for a scope, before any call.

        Raises the challenge for a person token, `InvalidRequest`, `InvalidScope` or `InvalidAccount`.
        """
        caller = await self._callers.verify(request)
        person = caller.person_token
        if person is None:
            raise person_token_required()
        wait_s = self.limiter.take(("authorize", person.iss, person.sub), _AUTHORIZATION_LIMIT)
        if wait_s:
            raise rate_limited(wait_s, anonymous=False)
        asked = decode_request(AuthorizationRequest, request)
        if not asked.scope.strip(" ") or len(asked.scope) > _MAX_SCOPE_LENGTH:
            raise InvalidRequest("scope lists one or more scope values, separated by spaces.")
        if asked.account is not None and not 0 < len(asked.account) <= _MAX_ACCOUNT_LENGTH:
            raise InvalidRequest("account names one account at this resource.")
        scopes = tuple(dict.fromkeys(value for value in asked.scope.split(" ") if value))
        token = await self._tokens.issue(caller, scopes, asked.account)
        return json_response(200, {"resource_token": token.text})

    async def revoke(self, request: Request) -> Response:
        """The revocation endpoint: see `revocations.accept_revocation`."""
        return await accept_revocation(request, self._callers, self.limiter)

    async def poll(self, request: Request, pending_id: str, *, execute: Execute) -> Response:
        """Answer a poll of a pending URL (#polling-with-get).

        A held invocation is carried out by `execute`, once, on the first poll with an auth token that grants what it
        needs. Raises `NotFound`, `Gone`, `SlowDown`, or the terminal error.
        """
        caller = await self._signed(request)
        held = await self._held.find(pending_id, caller)
        if held is None:
            if caller.agent_token is None:
                raise NotFound("There is no such pending request for this caller.")
            return await self._pending.poll(
                pending_id,
                owner=owner_of(caller.agent_token),
                wait_s=parse_prefer_wait(request.headers, most_s=50),
                complete=self.interactions.complete,
                retry_after_s=1,
            )
        auth = caller.auth_token
        if auth is not None and satisfies(caller, held.scopes, held.account):
            grant = await self._grant(caller)
            return await self._held.present(pending_id, held, auth, lambda request: execute(request, grant))
        token = None
        if auth is not None or (caller.person_token is not None and held.token_expires_at <= self.clock()):
            # The auth token grants too little, or the resource token was not redeemed in time.
            token = await self._tokens.issue(caller, held.scopes, held.account)
        return await self._held.wait(pending_id, held, token)

    async def cancel(self, request: Request, pending_id: str) -> Response:
        """The agent withdraws (#cancel-request). Raises `NotFound` or `Gone`."""
        caller = await self._signed(request)
        held = await self._held.find(pending_id, caller)
        if held is not None:
            await self._held.cancel(held)
        elif caller.agent_token is not None:
            await self._pending.cancel(pending_id, owner=owner_of(caller.agent_token))
        else:
            raise NotFound("There is no such pending request for this caller.")
        return Response(204, Fields({"cache-control": "no-store"}))

    async def _signed(self, request: Request) -> Caller:
        caller = await self._callers.verify(request)
        if caller.key is None:
            raise signature_required("Sign the request with the key that started the pending request.", self.signature)
        return caller
