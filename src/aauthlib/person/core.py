"""What every part of the person server stands on: its name, its keys, its store, and who is calling.

#ps-metadata, #verification. The endpoints are in `endpoints` and `revocation`, the person's side in `desk`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from typing import TypeVar

from ..base64url import b64url_encode
from ..deferred.pending import DEFAULT_LIFETIME_S, PendingRequests
from ..discovery.own_keys import with_own_keys
from ..effects import Clock, Flow
from ..errors import InvalidRequest, RevokedJWT
from ..http import Request
from ..httpsig import JWKSURI, MemoryReplayCache, ReplayCache, SignaturePolicy, refuse_replay, sign
from ..identifiers import server_identifier
from ..keys import DEFAULT_ALGORITHMS, JWKS
from ..messages.metadata import PersonServerMetadata
from ..store.attempts import Attempts
from ..tokens import (
    PERSON_DWK,
    AgentToken,
    AuthToken,
    PersonToken,
    ResourceToken,
    TokenCache,
    VerificationPolicy,
)
from ..verification import Caller, SigningServer, authenticate, signature_required
from .asked import Asked
from .consent import IDENTITY_SCOPES
from .faces import Faces, FlowRunner
from .keys import ServerKeys
from .limits import AUDITS_PER_MINUTE, MISSION_MISSES_PER_MINUTE, REVOCATIONS_PER_MINUTE, DistinctResources
from .minting import Mint
from .policy import AskPerson, PersonPolicy
from .storage import PersonStore

__all__ = ["PersonServerCore"]

_T = TypeVar("_T")

_SIGNATURE = SignaturePolicy(schemes=("jwt",), cover_body=True)
#: A revocation that takes longer is polled by the server that sent it.
_POLLING = SignaturePolicy(schemes=("jwt", "jwks_uri"), cover_body=True)
_PURGE_EVERY_S = 60.0

JWKS_PATH = "/.well-known/aauth-person-jwks.json"
PERSON_TOKEN_PATH = "/person-token"
AUTH_TOKEN_PATH = "/auth-token"
REVOCATION_PATH = "/revocation"
MISSION_PATH = "/mission"
PERMISSION_PATH = "/permission"
AUDIT_PATH = "/audit"
INTERACTION_PATH = "/interaction"


#: How long a request waits for a person who was told of it and comes when they can, in seconds.
APPROVAL_LIFETIME_S = 86_400


class PersonServerCore:
    """State and services shared by the person server's parts. Use `PersonServer`."""

    def __init__(
        self,
        *,
        issuer: str,
        store: PersonStore,
        wire: FlowRunner,
        keys: ServerKeys,
        clock: Clock,
        dev: bool = False,
        name: str | None = None,
        description: str | None = None,
        logo_uri: str | None = None,
        lifetime_s: int = DEFAULT_LIFETIME_S,
        approval_lifetime_s: int = APPROVAL_LIFETIME_S,
        access_resources: Collection[str] = (),
        replay: ReplayCache | None = None,
        rules: PersonPolicy | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        random_below: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        self.issuer: str = server_identifier(issuer, dev=dev)
        self.store = store
        self.dev = dev
        self.wire = wire
        self.clock = clock
        self.keys = keys
        self.pending = PendingRequests(
            store,
            issuer=self.issuer,
            clock=clock,
            lifetime_s=lifetime_s,
            random_bytes=random_bytes,
            random_below=random_below,
        )
        self.faces = Faces(wire, dev=dev)
        self.mint = Mint(self.issuer, lambda: self.keys, clock=clock, random_bytes=random_bytes)
        self.resources_named = DistinctResources(clock=clock)
        self.lifetime_s, self.approval_lifetime_s = lifetime_s, approval_lifetime_s
        #: Resources whose access server has this server's identifier too (#ps-as-collapse).
        self.access_resources = frozenset(access_resources)
        #: The operator's policy; without one everything is the person's to decide.
        self.rules: PersonPolicy = rules if rules is not None else AskPerson()
        self._random_bytes = random_bytes
        self.policy = VerificationPolicy(dev=dev)
        self.replay: ReplayCache = replay if replay is not None else MemoryReplayCache()
        self.cache = TokenCache()
        self.revocation_rate = Attempts(limit=REVOCATIONS_PER_MINUTE, window_s=60.0, clock=clock)
        self.mission_misses = Attempts(limit=MISSION_MISSES_PER_MINUTE, window_s=60.0, clock=clock)
        self.audit_rate = Attempts(limit=AUDITS_PER_MINUTE, window_s=60.0, clock=clock)
        self._about = (name, description, logo_uri)
        self._purged_at = clock()

    def metadata(self) -> PersonServerMetadata:
        """The document at `/.well-known/aauth-person.json` (#ps-metadata)."""
        name, description, logo_uri = self._about
        claims = ["sub", "tenant", *(claim for claims in IDENTITY_SCOPES.values() for claim in claims)]
        return PersonServerMetadata(
            issuer=self.issuer,
            jwks_uri=self.issuer + JWKS_PATH,
            person_token_endpoint=self.issuer + PERSON_TOKEN_PATH,
            auth_token_endpoint=self.issuer + AUTH_TOKEN_PATH,
            revocation_endpoint=self.issuer + REVOCATION_PATH,
            mission_endpoint=self.issuer + MISSION_PATH,
            permission_endpoint=self.issuer + PERMISSION_PATH,
            audit_endpoint=self.issuer + AUDIT_PATH,
            interaction_endpoint=self.issuer + INTERACTION_PATH,
            accept_signature_algs=list(DEFAULT_ALGORITHMS),
            scopes_supported=list(IDENTITY_SCOPES),
            claims_supported=claims,
            name=name,
            description=description,
            logo_uri=logo_uri,
        )

    def jwks(self) -> JWKS:
        """The public keys to publish: the one that signs, the one that will, those whose tokens still live."""
        return self.keys.published

    async def refresh_keys(self) -> None:
        """See which keys there are by now, before they are published or used. Cheap to call often."""
        await self.keys.ring.refresh()

    async def rotate_signing_key(self, *, at_once: bool = False) -> None:
        """Publish a new key now; it signs once others have had time to see it, or at once."""
        await self.keys.ring.rotate(at_once=at_once)

    # ------------------------------------------------------------------ for the parts

    async def run(self, flow: Flow[_T]) -> _T:
        """Carry out a flow, with this server's own keys at hand."""
        await self.refresh_keys()
        return await self.wire.run(with_own_keys(flow, issuer=self.issuer, dwk=PERSON_DWK, keys=self.keys.published))

    async def calling_agent(self, request: Request) -> AgentToken:
        """The agent that signed `request` with its agent token, a top-level one.

        Raises a `SignatureError` (401), and `InvalidRequest` for a sub-agent, which may not call a PS (#sub-agents).
        Whether an agent of another person server may ask is for `check_person_server`.
        """
        return await self._agent(await self._caller(request, _SIGNATURE))

    async def polling_party(self, request: Request) -> AgentToken | SigningServer:
        """Who polls: an agent, or a server that signs in its own right. Raises as `calling_agent` does."""
        caller = await self._caller(request, _POLLING)
        return caller.server if caller.server is not None else await self._agent(caller)

    async def _caller(self, request: Request, signature: SignaturePolicy) -> Caller:
        caller = await self.run(
            authenticate(
                request,
                now=self.clock(),
                signature=signature,
                tokens=self.policy,
                accepted=(AgentToken,),
                cache=self.cache,
            )
        )
        await self.refuse_replay(caller)
        return caller

    async def _agent(self, caller: Caller) -> AgentToken:
        token = caller.agent_token
        if token is None:
            detail = "Sign the request with the agent's key, presenting its agent token (scheme jwt)."
            raise signature_required(detail, _SIGNATURE)
        # On record whatever it is used for, as soon as the agent is somebody's: by the revocation of any of its tokens
        # everything it holds is found (#revocation-cascade, Records).
        if not await self.store.admit_agent_token(
            iss=token.iss, jti=token.jti, sub=token.sub, exp=token.exp, parent=token.parent_agent
        ):
            raise RevokedJWT("The agent token was revoked by its agent provider; obtain a fresh one.")
        if token.parent_agent is not None:
            raise InvalidRequest("A sub-agent does not call a person server: its parent asks with subagent_token.")
        return token

    def access_server_of(self, token: ResourceToken) -> str | None:
        """Who decides about what a resource token asks, where it is not this server as a person server.

        A resource that has chosen the access server at this very identifier addresses its tokens as one without any
        does: which of the two it is, this server knows (#ps-as-collapse).
        """
        return token.aud if token.aud != self.issuer or token.iss in self.access_resources else None

    def is_own(self, token: PersonToken | AuthToken) -> bool:
        """Whether this server issued the token, and not an access server at the same identifier."""
        return token.iss == self.issuer and token.dwk == PERSON_DWK

    def check_person_server(self, agent: AgentToken) -> None:
        """Raises `InvalidRequest` for an agent of another person server.

        Down a chain it does not matter: the intermediary's own person server is not its caller's (#call-chaining).
        """
        if agent.ps is not None and agent.ps != self.issuer:
            raise InvalidRequest("The agent token names another person server; send the request there.")

    async def refuse_replay(self, caller: Caller) -> None:
        """Raise `InvalidSignature` for a state-changing request that was received before (#freshness-and-replay)."""
        if caller.signed is not None and caller.key is not None:
            await refuse_replay(self.replay, caller.signed, caller.key, now=self.clock())

    async def remember_tokens(self, *tokens: AgentToken | None) -> None:
        """Record agent tokens that something is about to hang on, so that their revocation finds it.

        Raises `RevokedJWT` when one was revoked just now. Tokens of agents that nobody has connected are not recorded
        otherwise: anyone can make agents, and what is kept for them must be bounded.
        """
        for token in tokens:
            if token is not None and not await self.store.accept_agent_token(
                iss=token.iss, jti=token.jti, sub=token.sub, exp=token.exp, parent=token.parent_agent
            ):
                raise RevokedJWT("The agent token was revoked by its agent provider; obtain a fresh one.")

    async def standing_of(self, asked: Asked) -> tuple[str | None, frozenset[str]]:
        """For whom the request is made, if that is known, and what the person allowed already."""
        if asked.upstream is not None:
            person_id = asked.upstream.person_id
            return person_id, await self.store.chain_consents(
                asked.agent.iss,
                person_id=person_id,
                resource=asked.resource,
                account=asked.account,
                mission=asked.mission_s256,
            )
        standing = await self.store.standing(
            asked.agent_id, resource=asked.resource, account=asked.account, mission=asked.mission_s256
        )
        return (standing.binding.person_id if standing.binding is not None else None), standing.consents

    def signed(self, request: Request) -> Request:
        """`request`, signed by this server in its own right (scheme `jwks_uri`), its body covered."""
        key = self.keys.signing
        named = JWKSURI(self.issuer, PERSON_DWK, key.kid)
        return sign(request, key, named, created=int(self.clock()))

    def random_id(self) -> str:
        """256 random bits, for a URL or a form."""
        return b64url_encode(self._random_bytes(32))

    def random_hex(self) -> str:
        """256 random bits in hex, as the rows of requests and approvals are named."""
        return self._random_bytes(32).hex()

    async def tidy(self) -> None:
        """Drop what has served its time, now and then."""
        now = self.clock()
        if now - self._purged_at >= _PURGE_EVERY_S:
            self._purged_at = now
            await self.store.purge(now=now)


def owner_of(agent: AgentToken) -> str:
    """How a pending request names the agent that may poll it."""
    return f"{agent.iss} {agent.sub}"
