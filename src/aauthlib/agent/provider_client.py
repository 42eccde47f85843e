"""Where an agent gets its agent tokens: from itself, or from an agent provider it enrolled with.

#agent-token-acquisition-overview and the bootstrap document (self-hosted agents, two-key and single-key refresh). Both
kinds are an `AgentTokenSource`. The provider's wire format is this project's own: the protocol leaves it to each
provider.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Literal

import msgspec

from ..effects import Clock, FindMetadata, Flow, Send, Sleep
from ..errors import AAuthError, ClockSkew, InvalidSignature, TokenInvalid
from ..http import Fields, Request, Response
from ..httpsig import HWK, JKTJWT, JWT, SignatureKey, sign
from ..identifiers import AgentIdentifier
from ..keys import SigningKey
from ..messages.headers import parse_signature_error
from ..messages.metadata import AgentProviderMetadata, read_metadata
from ..messages.problems import error_of
from ..tokens import AGENT_DWK, AgentToken, VerificationPolicy, issue_agent_token, issue_jkt_jwt, verify
from ..tokens.profile import read
from ..verification import Level
from .credentials import Credential
from .errors import EnrolmentFailed

__all__ = ["Enrolled", "RefreshMode", "SelfIssued", "enroll"]

RefreshMode = Literal["two-key", "single-key"]
_MAX_OFFSET_S = 86_400.0
_ANOTHER_SECOND_S = 1.0
_JSON = Fields({"content-type": "application/json", "accept": "application/json"})


def _jti() -> str:
    return secrets.token_urlsafe(16)


@dataclass(slots=True)
class SelfIssued:
    """A self-hosted agent: its key, published in the JWKS of `issuer`, signs its own agent tokens and its requests.

    `agent` is its identifier, under the host of `issuer`; `lifetime_s` is how long a token lives, in seconds. `holder`
    is the key its tokens are bound to and its requests are signed with, for a server whose published key signs other
    things too; `key` itself by default.
    """

    issuer: str
    agent: str
    key: SigningKey = field(repr=False)
    clock: Clock
    ps: str | None = None
    dev: bool = False
    lifetime_s: int = 3600
    new_jti: Callable[[], str] = field(default=_jti, repr=False)
    holder: SigningKey | None = field(default=None, repr=False)

    @property
    def dates_tokens(self) -> bool:
        return True

    def obtain(self, *, clock_offset_s: float = 0.0) -> Flow[Credential]:
        """Sign a fresh agent token; needs nobody."""
        yield from ()
        return self._issue(self.agent, self.holder or self.key, self.clock() + clock_offset_s)

    def spawn(self, parent: Credential, discriminator: str, key: SigningKey) -> Flow[Credential]:
        """Sign an agent token for a sub-agent."""
        yield from ()
        child = AgentIdentifier.parse(self.agent, dev=self.dev).sub_agent(discriminator)
        return self._issue(str(child), key, self.clock(), parent_agent=self.agent)

    def _issue(self, sub: str, key: SigningKey, now: float, *, parent_agent: str | None = None) -> Credential:
        text = issue_agent_token(
            self.key,
            iss=self.issuer,
            sub=sub,
            cnf=key.public,
            jti=self.new_jti(),
            now=now,
            lifetime_s=self.lifetime_s,
            ps=self.ps,
            parent_agent=parent_agent,
        )
        unverified = read(text, AgentToken, now=now, policy=VerificationPolicy(dev=self.dev))
        if not unverified.jws.verify(self.key.public) or not isinstance(unverified.token, AgentToken):
            raise TokenInvalid("The agent token just signed does not verify.")
        return Credential(Level.IDENTIFIED, key, unverified.token)


@dataclass(slots=True)
class Enrolled:
    """An agent enrolled with the provider `issuer` under a durable key.

    In `two-key` mode every refresh makes a fresh ephemeral key and the durable key signs nothing but its delegation,
    so what is stolen from memory ends with the token. In `single-key` mode the durable key signs everything.
    """

    issuer: str
    agent: str | None
    """The identifier it was given at enrolment; `None` while enrolling."""
    durable: SigningKey = field(repr=False)
    clock: Clock
    ps: str | None = None
    dev: bool = False
    mode: RefreshMode = "two-key"
    generate_key: Callable[[], SigningKey] = field(default=SigningKey.generate, repr=False)
    new_jti: Callable[[], str] = field(default=_jti, repr=False)

    @property
    def dates_tokens(self) -> bool:
        return False

    def obtain(self, *, clock_offset_s: float = 0.0) -> Flow[Credential]:
        """Refresh at the provider's `refresh_endpoint`.

        Raises `EnrolmentFailed` when the provider refuses or answers with another token than was asked for.
        """
        metadata = yield from _provider(self.issuer, dev=self.dev)
        if metadata.refresh_endpoint is None:
            raise EnrolmentFailed(f"{self.issuer} publishes no refresh endpoint, so it gives no agent tokens.")
        key = self.generate_key() if self.mode == "two-key" else self.durable
        document = {"ps": self.ps} if self.ps is not None else {}
        response = yield from self._call(metadata.refresh_endpoint, document, key, self._delegation(key))
        return (yield from self._accept(response, key, self.agent))

    def enroll(self, *, label: str | None = None, invitation: str | None = None) -> Flow[Credential]:
        """Enrol the durable key at the provider's `enrollment_endpoint`, signed under `hwk`.

        `label` is what the person sees this installation named as; `invitation` is a code the provider asks for.
        """
        metadata = yield from _provider(self.issuer, dev=self.dev)
        if metadata.enrollment_endpoint is None:
            raise EnrolmentFailed(
                f"{self.issuer} publishes no enrolment endpoint. Ask its operator how agents are enrolled there."
            )
        document = {"ps": self.ps, "label": label, **({"invitation": invitation} if invitation is not None else {})}
        bare = HWK.of(self.durable.public)
        response = yield from self._call(metadata.enrollment_endpoint, document, self.durable, lambda now: bare)
        credential = yield from self._accept(response, self.durable, None)
        if isinstance(credential.token, AgentToken):
            self.agent = credential.token.sub
        return credential if self.mode == "single-key" else (yield from self.obtain())

    def spawn(self, parent: Credential, discriminator: str, key: SigningKey) -> Flow[Credential]:
        """Get a sub-agent's token at the provider's `subagent_endpoint`, signed by the parent."""
        metadata = yield from _provider(self.issuer, dev=self.dev)
        if metadata.subagent_endpoint is None:
            raise EnrolmentFailed(f"{self.issuer} does not issue tokens to sub-agents.")
        if parent.key is None or parent.token is None or self.agent is None:
            raise EnrolmentFailed("Only an agent with a token of its own can have sub-agents.")
        child = AgentIdentifier.parse(self.agent, dev=self.dev).sub_agent(discriminator)
        document = {"discriminator": discriminator, "jwk": key.public.to_jwk()}
        presented = JWT(parent.token.raw)
        response = yield from self._call(metadata.subagent_endpoint, document, parent.key, lambda now: presented)
        credential = yield from self._accept(response, key, str(child))
        if not isinstance(credential.token, AgentToken) or credential.token.parent_agent != self.agent:
            raise EnrolmentFailed(f"{self.issuer} sent a sub-agent token that does not name this agent as its parent.")
        return credential

    def _delegation(self, key: SigningKey) -> Callable[[float], SignatureKey]:
        if self.mode == "single-key":
            bare = HWK.of(key.public)
            return lambda now: bare
        return lambda now: JKTJWT(issue_jkt_jwt(self.durable, key.public, jti=self.new_jti(), now=now))

    def _call(
        self, url: str, document: dict[str, Any], key: SigningKey, signature_key: Callable[[float], SignatureKey]
    ) -> Flow[Response]:
        """POST to the provider; once more by its clock when it says that ours is wrong."""
        request = Request("POST", url, _JSON, msgspec.json.encode(document))
        offset_s = 0.0

        def signed() -> Send:
            now = self.clock() + offset_s
            return Send(sign(request, key, signature_key(now), created=int(now)))

        now = self.clock()
        response: Response = yield signed()
        theirs = _clock_offset(response, now)
        if theirs is not None:
            offset_s = theirs
            response = yield signed()
        if response.status == 401 and isinstance(error_of(response), InvalidSignature):
            # Another request of this agent may have been signed the same within this second (#freshness-and-replay).
            yield Sleep(_ANOTHER_SECOND_S)
            response = yield signed()
        if response.status not in (200, 201):
            error = error_of(response)
            raise EnrolmentFailed(
                f"{self.issuer} gives this agent no token. {error.detail}", response=response
            ) from error
        return response

    def _accept(self, response: Response, key: SigningKey, sub: str | None) -> Flow[Credential]:
        """Read and verify the agent token of a response."""
        try:
            answer = msgspec.json.decode(response.body, type=_AgentTokenResponse)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise EnrolmentFailed(f"{self.issuer} answered with something that is no agent token.") from error
        policy = VerificationPolicy(dev=self.dev, iat_window_s=None)
        try:
            token = yield from verify(answer.agent_token, AgentToken, now=self.clock(), policy=policy)
        except AAuthError as error:
            raise EnrolmentFailed(
                f"The agent token that {self.issuer} sent fails verification. {error.detail}"
            ) from error
        for what, expected, found in (
            ("from another provider", self.issuer, token.iss),
            ("for another key", key.thumbprint, token.cnf.thumbprint),
            ("for another agent", sub if sub is not None else answer.agent, token.sub),
        ):
            if expected != found:
                raise EnrolmentFailed(f"The agent token that {self.issuer} sent is {what}.")
        return Credential(Level.IDENTIFIED, key, token)


def enroll(
    issuer: str,
    durable: SigningKey,
    *,
    clock: Clock,
    ps: str | None = None,
    label: str | None = None,
    invitation: str | None = None,
    mode: RefreshMode = "two-key",
    dev: bool = False,
) -> Flow[tuple[Enrolled, Credential]]:
    """Enrol a new agent with the provider `issuer`; returns its token source and its first agent token.

    Keep `durable` and the agent identifier (`source.agent`): together they are the agent.
    """
    source = Enrolled(issuer, None, durable, clock, ps=ps, dev=dev, mode=mode)
    credential = yield from source.enroll(label=label, invitation=invitation)
    return source, credential


class _AgentTokenResponse(msgspec.Struct, frozen=True, kw_only=True):
    agent: str
    agent_token: str
    expires_in: float | None = None


def _provider(issuer: str, *, dev: bool) -> Flow[AgentProviderMetadata]:
    document = yield FindMetadata(issuer, AGENT_DWK)
    return read_metadata(AgentProviderMetadata, document, issuer=issuer, dev=dev)


def _clock_offset(response: Response, now: float) -> float | None:
    """Seconds to add to our clock, when the provider refused a signature for its time and says what time it is."""
    error = parse_signature_error(response.headers) if response.status == 401 else None
    value = response.headers.get("date")
    if not isinstance(error, ClockSkew | InvalidSignature) or value is None:
        return None
    try:
        offset = parsedate_to_datetime(value).timestamp() - now
    except (TypeError, ValueError):
        return None
    return offset if 1 <= abs(offset) <= _MAX_OFFSET_S else None
