"""What an agent asks of its person server: person tokens, auth tokens, relaying an interaction.

#person-token-endpoint, #ps-token-endpoint, #interaction-endpoint. Every token that comes back is verified before it is
used. For a sub-agent its parent signs and the sub-agent's token goes along (#parent-mediated-authorization). Knows
nothing of how a resource is spoken to.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..deferred.polling import NotInTime
from ..effects import Direct, Flow, Report
from ..errors import AAuthError, Expired, InteractionUnavailable, InvalidIdentifier, TokenInvalid, UserUnreachable
from ..http import Response
from ..identifiers import server_identifier
from ..keys import PublicKey
from ..messages.bodies import (
    AuthTokenRequest,
    AuthTokenResponse,
    PersonTokenRequest,
    PersonTokenResponse,
    RequestContext,
)
from ..messages.problems import error_of
from ..messages.requirement import PERSON_TOKEN
from ..tokens import AgentToken, AuthToken, PersonToken, ResourceToken
from ..tokens.checks import check_auth_token_response
from .asking import Asking, json_post, read_answer
from .chain import ServerDialogue, agent_credential
from .credentials import Credential
from .errors import ChallengeInvalid, ChallengeUnmet
from .relay import RELAY_WINDOW_S, Relay
from .waits import AuthTokenAsked, Wait

__all__ = ["PersonServerClient"]

#: What a pending URL answers that has nothing for this agent any more.
_OVER = frozenset({404, 408, 410})


class PersonServerClient(Asking):
    """What one agent asks for one resource, within one exchange."""

    # ------------------------------------------------------------------ tokens

    def person_token(self, resource: str) -> Flow[PersonToken]:
        """Get a person token for `resource` (a server identifier), verified.

        A request that the server lets expire is made anew, with a fresh agent token, within the one wait. Raises
        `ChallengeUnmet` without a person server, the server's own refusal (`Denied`, `UserUnreachable`, ...),
        `ChallengeInvalid` when the token is not the one asked for.
        """
        try:
            server_identifier(resource, dev=self._agent.dev)
        except InvalidIdentifier as error:
            raise ChallengeUnmet(
                f"No person token can be had for {resource}: {error.detail} Call the resource by its own identifier."
            ) from error
        while True:
            try:
                return (yield from self._ask_person_token(resource))
            except NotInTime:
                raise
            except Expired as error:
                yield from self.ask_anew(PERSON_TOKEN, error)

    def ask_anew(self, what: str, error: Expired) -> Flow[None]:
        """Return when it is worth asking anew for what the server let expire; raise `error` otherwise.

        Down a chain it is not: what expired is the upstream token (#call-chaining).
        """
        if self._upstream is not None:
            raise error
        self.patience.again(what, error)
        yield Report("expired", {"asks": what, "detail": error.detail})

    def _ask_person_token(self, resource: str) -> Flow[PersonToken]:
        own, ps, metadata = yield from self._person_server("a person token")
        # An upstream token carries its mission itself; an intermediary sends none of its own.
        named = self._preferences.mission_s256 if self._upstream is None else None
        body = self._body(PersonTokenRequest, own, resource=resource, mission_s256=named)
        response = yield from self._post(metadata.person_token_endpoint, body, Wait(gives="person-token"))
        return (yield from self._read_person_token(response, own, ps, resource))

    def _read_person_token(self, response: Response, own: Credential, ps: str, resource: str) -> Flow[PersonToken]:
        text = read_answer(PersonTokenResponse, response, ps).person_token
        token = yield from self._verified(text, PersonToken, ps)
        key = _key(own)
        for what, ours, theirs in (
            ("another person server", ps, token.iss),
            ("another resource", resource, token.aud),
            ("another key", key.thumbprint, token.cnf.thumbprint),
            ("another mission", self._preferences.mission_s256, token.mission_s256),
        ):
            if ours != theirs:
                raise ChallengeInvalid(f"The person token that {ps} sent is for {what} than was asked for.")
        self._check_upstream(token, ps)
        yield Report("person-token", {"ps": ps, "resource": resource, "exp": token.exp})
        return token

    def auth_token(
        self, resource: str, resource_token: ResourceToken, presented: PersonToken | AuthToken
    ) -> Flow[AuthToken]:
        """Redeem a verified resource token for an auth token (#auth-token-response-verification).

        `presented` is the token the resource saw. Raises as `person_token` does, and `Expired` where the server let the
        request expire: the resource has to be asked for a fresh resource token first (`ask_anew`).
        """
        own, ps, metadata = yield from self._person_server("an auth token")
        body = self._body(
            AuthTokenRequest,
            own,
            resource_token=resource_token.raw,
            presented_token=presented.raw,
            **({"login_hint": resource_token.login_hint} if resource_token.login_hint is not None else {}),
        )
        asked = AuthTokenAsked.by(resource_token)
        response = yield from self._post(metadata.auth_token_endpoint, body, Wait(gives="auth-token", asked=asked))
        return (yield from self._read_auth_token(response, own, ps, resource, asked))

    def _read_auth_token(
        self, response: Response, own: Credential, ps: str, resource: str, asked: AuthTokenAsked
    ) -> Flow[AuthToken]:
        text = read_answer(AuthTokenResponse, response, ps).auth_token
        token = yield from self._verified(text, AuthToken, ps)
        try:
            check_auth_token_response(token, asked=asked, agent_key=_key(own), resource=resource)
            if token.ps != asked.ps:
                raise TokenInvalid("The auth token names another person server than the resource token.")
            self._check_upstream(token, ps)
        except TokenInvalid as error:
            raise ChallengeInvalid(f"The auth token that {ps} sent is refused. {error.detail}") from error
        yield Report("auth-token", {"iss": token.iss, "resource": resource, "scope": token.scope, "exp": token.exp})
        return token

    def fetch(self, wait: Wait, resource: str) -> Flow[None]:
        """Wait on at a pending URL of before, and keep the token it gives for `resource`.

        Where it has none for this agent any more nothing is kept, and asking anew is all there is to do. Raises the
        server's refusal, `NotInTime`, `ConfigurationError` for a URL elsewhere, `ChallengeInvalid`.
        """
        own, ps, metadata = yield from self._person_server("what was asked before")
        for_person = wait.gives == PERSON_TOKEN
        endpoint = metadata.person_token_endpoint if for_person else metadata.auth_token_endpoint
        response = yield from self._look_again(endpoint, wait)
        if response.status in _OVER:
            yield Report("expired", {"asks": wait.gives, "detail": error_of(response).detail})
            return
        if response.status != 200:
            raise self._refusal(response)
        memory = self._agent.credentials.at(resource)
        if for_person:
            memory.keep_person_token((yield from self._read_person_token(response, own, ps, resource)))
        elif wait.asked is not None:
            memory.auth_token = yield from self._read_auth_token(response, own, ps, resource, wait.asked)

    # ------------------------------------------------------------------ interaction

    def relay(self, direct: Direct) -> Flow[Relay | None]:
        """Ask the person server to get its person to `direct.url` (#interaction-relay).

        Returns `None` when there is no person server, it has no interaction endpoint, or it cannot relay; the agent
        then directs the person itself. Raises `UserUnreachable` when neither of them can.
        """
        if self._upstream is not None:
            # The person is the caller's, and it is the caller who gets them there (#interaction-chaining).
            return None
        own = yield from agent_credential(self._agent.speaker)
        if own.token is None or not isinstance(own.token, AgentToken) or own.token.ps is None:
            return None
        able = "interaction" in self._agent.speaker.capabilities
        try:
            metadata = yield from self._metadata(own.token.ps)
            if metadata.interaction_endpoint is None:
                return None
            document: dict[str, Any] = {
                "type": "interaction",
                "url": direct.url,
                "code": direct.code,
                "capabilities": list(self._agent.speaker.capabilities),
                # Who can send the person itself waits for another way for so long only.
                **({"max_wait": RELAY_WINDOW_S} if able else {}),
            }
            if self._preferences.mission_s256 is not None:
                document["mission_s256"] = self._preferences.mission_s256
            dialogue = ServerDialogue(self._agent.speaker, metadata.interaction_endpoint)
            response = yield from dialogue.send(json_post(metadata.interaction_endpoint, document))
        except AAuthError as error:
            # The relay is a courtesy: the person can still be sent there directly.
            yield Report("relay", {"ps": own.token.ps, "relayed": False, "reason": error.detail})
            return None
        relayed = response.status in (200, 202)
        reason = None if relayed else error_of(response)
        yield Report(
            "relay",
            {
                "ps": own.token.ps,
                "relayed": relayed,
                "reason": "no channel" if isinstance(reason, InteractionUnavailable) else reason and str(reason),
            },
        )
        if isinstance(reason, UserUnreachable) and not able:
            raise reason
        return Relay(self._agent, metadata.interaction_endpoint, response, dialogue, direct) if relayed else None

    # ------------------------------------------------------------------ within

    def _check_upstream(self, token: PersonToken | AuthToken, ps: str) -> None:
        """Down a chain, no token outlives the upstream token or leaves its mission (#call-chaining)."""
        upstream = self._upstream
        if upstream is None:
            return
        if token.exp > upstream.exp:
            raise ChallengeInvalid(f"The token that {ps} sent outlives the upstream token it was asked for with.")
        if token.mission_s256 != upstream.mission_s256:
            raise ChallengeInvalid(f"The token that {ps} sent is for another mission than the upstream token.")

    def _body(self, cls: type[RequestContext], own: Credential, **members: Any) -> bytes:
        wishes = self._preferences
        capabilities = list(self._agent.speaker.capabilities)
        context: dict[str, Any] = {
            # Said also when there are none: within a mission silence means those at its approval.
            "capabilities": capabilities,
            "login_hint": wishes.login_hint,
            "tenant": wishes.tenant,
            "domain_hint": wishes.domain_hint,
            "prompt": wishes.prompt,
            "justification": wishes.justification,
            "platform": wishes.platform,
            "device": wishes.device,
            "upstream_token": self._upstream.raw if self._upstream is not None else None,
            "subagent_token": own.token.raw if self._agent.parent is not None and own.token is not None else None,
        }
        return msgspec.json.encode(cls(**{**context, **members}))


def _key(own: Credential) -> PublicKey:
    if own.key is None:
        raise ChallengeUnmet("This agent has no key of its own to bind a token to.")
    return own.key.public
