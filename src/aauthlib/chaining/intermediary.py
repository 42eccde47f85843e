"""`Intermediary`: a resource that is its own agent provider and calls downstream (#call-chaining)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from ..agent import AgentContext, GrantPreferences
from ..agent.interaction import ClarificationHook
from ..agent.provider_client import SelfIssued
from ..deferred.polling import PollPolicy
from ..errors import AccessDenied, ConfigurationError, InvalidIdentifier
from ..identifiers import AgentIdentifier
from ..keys import SigningKey
from ..messages.metadata import AgentProviderMetadata, dump_metadata
from ..resource import Grant, Resource
from ..tokens import AuthToken, PersonToken, VerificationPolicy
from ..transport import AsyncWire, Wire
from .clients import AsyncDownstream, Downstream
from .identity import Callers, OwnAgent
from .invocation import INVOCATION, Invocation
from .invocations import Invocations
from .policy import ChainPolicy
from .slots import Slots
from .storage import ChainStore

__all__ = ["HasScope", "Intermediary"]


class HasScope(Protocol):
    """A Starlette or FastAPI request."""

    @property
    def scope(self) -> Any: ...


class Intermediary(Resource):
    """A `Resource` that calls other resources for its caller.

    Takes the settings of `Resource`, and:

    - `local`: the local part of the agent identifier it has downstream, `aauth:{local}@{its host}`.
    - `preferences`: what goes with its requests at the person's person server, such as a `justification`.
    - `store`: `SQLResourceStore` or `MemoryResourceStore`; with the former any process answers waiting callers.
    - `chain`: the bounds on calling downstream.
    - `blocking_wire`: what `downstream_blocking` talks through; one of its own by default.

    It publishes agent metadata at `/.well-known/aauth-agent.json` beside its resource metadata, under one `issuer` and
    one key set, and issues its agent token to itself (#intermediary-agent-identity), so it needs a `signing_key`.
    Raises `ConfigurationError`.
    """

    def __init__(
        self,
        *,
        issuer: str,
        wire: AsyncWire,
        store: ChainStore,
        signing_key: SigningKey,
        local: str = "service",
        preferences: GrantPreferences | None = None,
        chain: ChainPolicy | None = None,
        blocking_wire: Wire | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(issuer=issuer, wire=wire, store=store, signing_key=signing_key, **settings)
        try:
            agent = AgentIdentifier.parse(f"aauth:{local}@{issuer.partition('://')[2]}", dev=self.dev)
        except InvalidIdentifier as error:
            raise ConfigurationError(f"local is no local part of an agent identifier. {error.detail}") from error
        if "+" in agent.local:
            raise ConfigurationError("A plus sign marks a sub-agent; choose a local part without one.")
        self.agent = str(agent)
        """The agent identifier it has downstream."""
        self.chain = chain if chain is not None else ChainPolicy()
        own = self.metadata()
        self._agent_metadata = AgentProviderMetadata(
            issuer=self.issuer,
            jwks_uri=own.jwks_uri,
            accept_signature_algs=own.accept_signature_algs,
            name=own.name,
            description=own.description,
            logo_uri=own.logo_uri,
            logo_dark_uri=own.logo_dark_uri,
            documentation_uri=own.documentation_uri,
            tos_uri=own.tos_uri,
            policy_uri=own.policy_uri,
            # Where the person's browser comes back to between two questions of one invocation.
            callback_endpoint=f"{self.issuer}{self.prefix}onward",
        )
        issued = SelfIssued(
            self.issuer,
            self.agent,
            signing_key,
            self.clock,
            dev=self.dev,
            holder=SigningKey.generate(signing_key.alg),
        )
        self._upstreams = Callers(
            OwnAgent(issued),
            clock=self.clock,
            preferences=preferences if preferences is not None else GrantPreferences(platform="workload"),
            tokens=VerificationPolicy(algorithms=self.signature.algorithms, dev=self.dev, iat_window_s=None),
        )
        self._downstream_wire = wire
        self._blocking_wire = blocking_wire
        self._owns_blocking_wire = blocking_wire is None
        self._blocking_lock = threading.Lock()
        self._slots = Slots(self.chain.most_per_person)
        self.invocations = Invocations(
            store,
            issuer=self.issuer,
            prefix=self.prefix,
            clock=self.clock,
            policy=self.chain,
            wire=wire,
            dev=self.dev,
        )

    # ---------------------------------------------------------------- what it publishes

    def agent_metadata_document(self) -> dict[str, object]:
        """#agent-provider-metadata, published at `/.well-known/aauth-agent.json`."""
        return dump_metadata(self._agent_metadata)

    # ---------------------------------------------------------------- calling downstream

    def downstream(
        self, request: HasScope | Mapping[str, Any], *, on_clarification: ClarificationHook | None = None
    ) -> AsyncDownstream:
        """A client that calls other resources for the caller of `request`, which this resource is serving.

        `request` is what the application was given: a Starlette or FastAPI request, or the ASGI scope. The client is
        an `AsyncAgent`: it presents this resource's agent token, meets challenges, asks the caller's person server for
        the person of the token the caller presented (its `upstream_token`), and holds nothing of any other caller's.
        Its tokens expire no later than the caller's and stay in the caller's mission. When the person is needed, or
        what is called takes its time to decide, the caller is answered with `202` meanwhile, and gets the response of
        the application when there is one.

        A clarification question goes to a caller that declared it can answer one. `on_clarification` answers instead,
        as an agent's does, and may still `ask_caller`; it may also ask for something else (`UpdatedRequest`), which the
        caller cannot, as it has no part in what this resource asks for.

        Its methods raise what an `AsyncAgent`'s do, such as `Denied`; `ExpiredUpstreamToken` when the caller's token
        has expired; `RateLimited` when too many calls for this person are under way. What the application lets
        through becomes the caller's answer. Raises `AccessDenied` when the caller proved no person.
        """
        invocation, context = self._acting(request, answers=on_clarification is not None)
        return AsyncDownstream(
            context,
            wire=self._downstream_wire,
            invocation=invocation,
            slots=self._slots,
            on_clarification=on_clarification,
        )

    def downstream_blocking(
        self, request: HasScope | Mapping[str, Any], *, on_clarification: ClarificationHook | None = None
    ) -> Downstream:
        """As `downstream`, for an endpoint that runs in a thread: the client is an `Agent`."""
        invocation, context = self._acting(request, answers=on_clarification is not None)
        with self._blocking_lock:
            if self._blocking_wire is None:
                self._blocking_wire = Wire.open(dev=self.dev, clock=self.clock)
        return Downstream(
            context,
            wire=self._blocking_wire,
            invocation=invocation,
            slots=self._slots,
            on_clarification=on_clarification,
        )

    async def aclose(self) -> None:
        """Stop what is under way, and close what `downstream_blocking` opened; the end of the lifespan does it."""
        await self.invocations.aclose()
        if self._owns_blocking_wire and self._blocking_wire is not None:
            self._blocking_wire.close()

    def _acting(
        self, request: HasScope | Mapping[str, Any], *, answers: bool
    ) -> tuple[Invocation | None, AgentContext]:
        scope: Mapping[str, Any] = request if isinstance(request, Mapping) else request.scope
        grant = scope.get("aauth")
        if not isinstance(grant, Grant):
            raise ConfigurationError("downstream() takes a request that this resource is serving.")
        upstream = grant.presented
        if not isinstance(upstream, PersonToken | AuthToken):
            raise AccessDenied("Nothing can be done elsewhere for a caller that does not say for whom it acts.")
        begin = scope.get(INVOCATION)
        # Without one, as for a held invocation that is carried out later, nobody can be asked anything.
        invocation: Invocation | None = begin(grant) if begin is not None else None
        # The shared context, with what this caller can take and how long its token lasts.
        held = self._upstreams.context(upstream)
        ends_at = invocation.expires_at if invocation is not None else self.clock() + self.chain.lifetime_s
        lasting = max(1.0, min(ends_at, upstream.exp) - self.clock())
        able = invocation.capabilities if invocation is not None else ()
        return invocation, replace(
            held,
            capabilities=tuple(dict.fromkeys((*able, *(("clarification",) if answers else ())))),
            poll=PollPolicy(wait_s=self.chain.poll_wait_s, deadline_s=lasting),
        )
