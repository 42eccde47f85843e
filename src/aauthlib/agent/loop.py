"""The challenge loop: make the request, read what the server requires, satisfy it, retry (#consuming-a-resource).

ONE generator, sans-I/O; `client` and `auth` are thin shells on it. It signs with the best credential held for the
resource, and climbs only when asked: pseudonym, agent token, person token, auth token (#requirement-responses). What a
`202` asks is met while its `Location` is held (#deferred-auth-token, #interaction-relay). Every round trip counts, and
a requirement that comes back although it was met ends the exchange.
"""

from __future__ import annotations

from ..deferred.polling import NotInTime, UnsupportedRequirement
from ..effects import Direct, Flow, Report
from ..errors import (
    AAuthError,
    ConfigurationError,
    Expired,
    ExpiredPresentedToken,
    ExpiredResourceToken,
    InvalidRequest,
    RevokedPresentedToken,
    RevokedResourceToken,
)
from ..http import Request, Response
from ..identifiers import origin_of
from ..messages.headers import parse_access
from ..messages.requirement import AGENT_TOKEN, AUTH_TOKEN, PERSON_TOKEN, PSEUDONYM, Requirement
from ..tokens import AuthToken
from ..verification import Level
from .challenge import is_deferred, is_session_grant, requirement_of, verified_challenge
from .context import AgentContext, GrantPreferences, OpenRequests
from .credentials import ANONYMOUS, Credential
from .deferral import follow_through, look_again, refuse_direct
from .errors import ChallengeInvalid, NoProgress
from .negotiation import learn, level_for
from .person_server import PersonServerClient
from .recovery import Recovery
from .relay import Relay
from .selection import Selection
from .sending import Attempt, ResourceSend, resource_of, sign_request, unsigned
from .waits import Wait

__all__ = ["Exchange", "exchange"]

_WHILE_RELAYED_S = 5
#: What a pending URL answers whose request is over.
_LAPSED = frozenset({404, 408, 410})
_MAX_LAPSES = 5


def exchange(
    agent: AgentContext,
    request: Request,
    *,
    preferences: GrantPreferences | None = None,
    open_requests: OpenRequests | None = None,
) -> Flow[Response]:
    """Send `request` to a resource, satisfying what it requires, and return its final response.

    A status the protocol has no use for (404, a redirect, an ordinary 401 or 429) is returned as it is. `preferences`
    go with what is asked of the person server; `open_requests` learns which pending URLs are being waited for.

    Raises `AgentError` (see `agent.errors`), the person server's refusals (`Denied`, `Expired`, `UserUnreachable`,
    ...), `UnsupportedRequirement` for a requirement this agent does not know, and the transport's errors.
    """
    return (yield from Exchange(agent, request, preferences=preferences, open_requests=open_requests).run())


class Exchange:
    """One request of the application's, with everything it takes to get it answered.

    `ceiling` is the highest rung to present: the authorization endpoint is spoken to with a person token, also by an
    agent that holds an auth token (#authorization-endpoint-request). `floor` is the lowest.
    """

    def __init__(
        self,
        agent: AgentContext,
        request: Request,
        *,
        preferences: GrantPreferences | None = None,
        open_requests: OpenRequests | None = None,
        ceiling: Level = Level.AUTHORIZED,
        floor: Level = Level.ANONYMOUS,
    ) -> None:
        self.agent = agent
        self.request = unsigned(request)
        self.resource = resource_of(request)
        self.memory = agent.credentials.at(self.resource)
        self.preferences = preferences if preferences is not None else agent.preferences
        self.open_requests = open_requests if open_requests is not None else OpenRequests()
        self._person_server = PersonServerClient(agent, preferences=self.preferences, open_requests=self.open_requests)
        self._ceiling = ceiling
        self._round_trips = 0
        self._last_met: str | None = None
        self._attempt = Attempt(self.request, ANONYMOUS)
        self._selection = Selection(
            agent,
            self.resource,
            preferences=self.preferences,
            open_requests=self.open_requests,
            person_server=self._person_server,
            ceiling=ceiling,
            floor=floor,
        )
        self._recovery = Recovery(agent, self.memory, fresh=self._selection.fresh)
        self._retried: set[str] = set()
        self._redeemed: set[str] = set()
        """Resource tokens that were redeemed, as they came."""
        self._held = False
        """Whether the resource holds the invocation until an auth token is presented."""
        self._presented = 0
        """How often what it holds was polled with that."""
        self._relay: Relay | None = None

    def run(self, held: Wait | None = None, *, again: bool = False) -> Flow[Response]:
        """As `exchange`. Goes on where the resource `held` the request before; `again` says that it can be made again,
        where it is not held any more."""
        self._held = again
        for _ in range(_MAX_LAPSES):
            if held is None:
                response = yield from self._send(self.request)
                if not is_deferred(response):
                    return response
            else:
                response = yield from self._look_again(held)
            ended = yield from self._follow(response)
            held = None
            if not (ended.status in _LAPSED and self._held and self._presented <= 1):
                break
            # The person took longer than the resource holds an invocation. It was not carried out, since no auth token
            # was presented for it before: it is made again.
            self._held, self._presented, self._round_trips, self._last_met = False, 0, 0, None
        # A resource that manages authorization itself may end with a session token instead of the answer
        # (#resource-managed-auth): the request is then made again, once, presenting it.
        return (yield from self._send(self.request)) if is_session_grant(ended) else ended

    def _follow(self, response: Response) -> Flow[Response]:
        """Wait for what a `202` of the resource's ends in."""
        if response.status != 202:
            return response
        try:
            ended = yield from follow_through(
                response,
                url=self.request.url,
                agent=self.agent,
                deliver=self._poll,
                direct=self._direct,
                digest=self._digest,
                open_requests=self.open_requests,
                at_person_server=False,
                wait=Wait.at_level(self._attempt.credential.level),
            )
        except AAuthError:
            yield from self._end_relay()
            raise
        yield from self._end_relay()
        return ended

    def _look_again(self, held: Wait) -> Flow[Response]:
        if origin_of(held.location) != origin_of(self.request.url):
            raise ConfigurationError("This request waits elsewhere than at the resource it was made to.")
        ends = self.agent.clock() + self.agent.poll.deadline_s
        response = yield from look_again(self.agent, self._poll, held, ends=ends)
        self.open_requests.closed(held.location)
        return response

    # ------------------------------------------------------------------ sending

    def _poll(self, request: Request, *, timeout_s: float) -> Flow[Response]:
        # Each poll has a budget of its own; how many there are is bounded by the deadline of the wait.
        self._round_trips, self._last_met = 0, None
        if self._relay is not None and self._relay.waits and request.method == "GET":
            # Not held for long: the agent may have to send the person itself.
            request = request.with_headers(prefer=f"wait={_WHILE_RELAYED_S}")
        self._presented += self._selection.auth_token() is not None
        response = yield from self._send(request, timeout_s=timeout_s)
        if self._relay is not None and response.status == 202:
            yield from self._relay.poll()
            if self._relay.failed:
                relay, self._relay = self._relay, None
                refuse_direct(self.agent, relay.direct)
                yield relay.direct
        return response

    def _send(self, request: Request, *, timeout_s: float | None = None) -> Flow[Response]:
        """Send one request until its answer requires nothing more than can be given; return that answer."""
        while True:
            self._round_trips += 1
            if self._round_trips > self.agent.max_round_trips:
                raise NoProgress(
                    f"{self.resource} kept asking for more: after {self.agent.max_round_trips} requests it still does "
                    f"not answer. The last thing it asked for was {self._last_met or 'another signature'}."
                )
            credential = yield from self.credential()
            own_session = self.memory.session_for(credential.key) if "authorization" not in request.headers else None
            self._attempt = attempt = Attempt(request, credential, own_session, self.memory.cid_for(credential))
            yield Report("request", {"method": request.method, "url": request.url, "with": credential.name})
            signed = sign_request(attempt, self.memory, now=self.agent.clock(), capabilities=self.agent.declared)
            response: Response = yield ResourceSend(
                signed,
                timeout_s=timeout_s if timeout_s is not None else self.agent.request_timeout_s,
                max_body_bytes=self.agent.max_body_bytes,
            )
            yield Report("response", {"status": response.status, "url": request.url})
            learn(response, credential, self.memory)
            self._keep_session(response, credential)
            if not (yield from self._satisfied(response, attempt)):
                return response

    def _keep_session(self, response: Response, credential: Credential) -> None:
        """Remember the newest session token (#aauth-access)."""
        try:
            session_token = parse_access(response.headers)
        except InvalidRequest as error:
            raise ChallengeInvalid(
                f"{self.resource} sent an AAuth-Access header that cannot be a session token. {error.detail}",
                response=response,
            ) from error
        if session_token is not None and credential.key is not None:
            self.memory.session = (session_token, credential.key.thumbprint)

    @property
    def is_due(self) -> bool:
        """Whether the resource holds the invocation and has not been asked yet with the auth token that is there."""
        return self._held and not self._presented and self._selection.auth_token() is not None

    def credential(self) -> Flow[Credential]:
        """What the next request is signed with, obtained or refreshed where it is due."""
        return (yield from self._selection.credential())

    # ------------------------------------------------------------------ satisfying

    def _satisfied(self, response: Response, attempt: Attempt) -> Flow[bool]:
        """Whether what `response` requires was met, so that the request is worth sending again."""
        if response.status not in (401, 402, 429):
            return False
        done = self._recovery.attend(response, attempt)
        if done is not None:
            yield Report("recovered", {"server": self.resource, "done": done})
            return True
        if response.status in (402, 429):
            # Only a caller that did not sign can do better by signing; any other has to wait (Retry-After) or to pay.
            return (yield from self._signed_instead(response, attempt))
        had_session = attempt.session_token is not None
        if had_session and self.memory.session is not None and self.memory.session[0] == attempt.session_token:
            self.memory.session = None
        requirement = requirement_of(response, self.resource)
        if requirement is not None:
            yield from self._meet(requirement, response, attempt)
            return True
        if (yield from self._signed_instead(response, attempt)):
            return True
        if had_session:
            yield Report("session-ended", {"resource": self.resource})
        return had_session

    def _signed_instead(self, response: Response, attempt: Attempt) -> Flow[bool]:
        """Sign what was sent unsigned, when `Accept-Signature-Scheme` says that this would help."""
        own = self.agent.credentials.own
        level = level_for(response, own.key if own is not None else None)
        if attempt.credential.level is not Level.ANONYMOUS or level is None or self.memory.level >= level:
            return False
        self.memory.level = level
        yield Report("challenge", {"resource": self.resource, "asks": "a signature", "level": level.name.lower()})
        return True

    def _meet(self, requirement: Requirement, response: Response, attempt: Attempt) -> Flow[None]:
        """Do what a `401` requires; afterwards the best credential held is the one that was asked for."""
        sent = attempt.credential
        yield Report("challenge", {"resource": self.resource, "asks": requirement.value, "with": sent.name})
        match requirement.value:
            case "pseudonym":
                self._once(PSEUDONYM, sent.level < Level.PSEUDONYM, sent)
                self.memory.level = max(self.memory.level, Level.PSEUDONYM)
            case "agent-token":
                self._once(AGENT_TOKEN, sent.level is not Level.IDENTIFIED, sent)
                if sent.level > Level.IDENTIFIED:
                    # It asks for the agent itself, and was shown the person's or the grant's token.
                    self.memory.forget_tokens()
                self.memory.level = Level.IDENTIFIED
            case "person-token":
                fresh = sent.token is not None and sent.token.jti in self._selection.fresh
                self._once(PERSON_TOKEN, sent.level is not Level.PERSON or not fresh, sent)
                if sent.level is Level.AUTHORIZED:
                    self.memory.auth_token = None
                if sent.level is Level.PERSON:
                    self.memory.person_tokens.pop(self.preferences.mission_s256, None)
                if self.preferences.mission_s256 not in self.memory.person_tokens:
                    yield from self._selection.obtain_person_token()
            case "auth-token":
                if self._ceiling < Level.AUTHORIZED:
                    raise ChallengeInvalid(
                        f"{self.resource} asks for an auth token at its authorization endpoint, which is where one "
                        "asks for it.",
                        response=response,
                    )
                yield from self._obtain_auth_token(requirement, response, attempt)
            case other:
                raise UnsupportedRequirement(
                    f"{self.resource} answers {response.status} with the requirement {_shown(other)}, which this agent "
                    "does not know how to meet. A newer version of aauthlib may.",
                    requirement,
                )

    def _once(self, asked: str, progress: bool, sent: Credential) -> None:
        """Refuse to go round in circles: what was just given cannot be given again."""
        if not progress or asked == self._last_met:
            raise NoProgress(
                f"{self.resource} asks for {asked}, this agent presented {sent.name}, and {self.resource} asks for "
                f"{asked} again. It does not accept what it was given; its operator can say why."
            )
        self._last_met = asked

    # ------------------------------------------------------------------ auth tokens

    def _obtain_auth_token(self, requirement: Requirement, response: Response, attempt: Attempt) -> Flow[None]:
        """Redeem the resource token of a challenge (#requirement-auth-token)."""
        resource_token, presented = yield from verified_challenge(self.agent, requirement, response, attempt)
        scope = " ".join(sorted(resource_token.scope)) if resource_token.scope is not None else "no scope named"
        self._once(f"{AUTH_TOKEN} ({scope})", True, attempt.credential)
        with (yield from self.memory.turns.take(AUTH_TOKEN, limit_s=self.agent.poll.deadline_s)):
            held = self._selection.auth_token()
            if held is not None and held is not presented and held.jti not in self._selection.fresh:
                # Another exchange obtained one meanwhile. If it does not cover this request, the resource says so.
                self._selection.fresh.add(held.jti)
                self._last_met = None
                return
            try:
                token = yield from self._person_server.auth_token(self.resource, resource_token, presented)
            except (ExpiredPresentedToken, RevokedPresentedToken) as error:
                # A fresh person token, then a fresh resource token (#token-endpoint-error-codes).
                self._retry_or_raise("presented token", error)
                self.memory.forget_tokens()
                yield from self._selection.obtain_person_token()
                return
            except (ExpiredResourceToken, RevokedResourceToken) as error:
                # A fresh resource token is to be had by calling the resource again.
                self._retry_or_raise("resource token", error)
                return
            except NotInTime:
                raise
            except Expired as error:
                # It may have been decided, after what it was asked with had expired: the same, from the top of the
                # chain (#resource-token-structure, #polling-error-codes).
                yield from self.ask_anew(error)
                return
            self._redeemed.add(resource_token.raw)
            self._selection.fresh.add(token.jti)
            if self._selection.bound_to_current_key(token):
                self.memory.auth_token = token

    def redeem(self, requirement: Requirement, response: Response) -> Flow[AuthToken]:
        """Redeem the resource token that the authorization endpoint answered with; the auth token is kept.

        Raises as `exchange` does.
        """
        resource_token, presented = yield from verified_challenge(self.agent, requirement, response, self._attempt)
        token = yield from self._person_server.auth_token(self.resource, resource_token, presented)
        if self._selection.bound_to_current_key(token):
            self.memory.auth_token = token
        return token

    def ask_anew(self, error: Expired) -> Flow[None]:
        """Begin anew with a request that the person server let expire, if there is time; raise `error` otherwise."""
        yield from self._person_server.ask_anew(AUTH_TOKEN, error)
        self._round_trips, self._last_met = 0, None
        self._retried.clear()

    def _retry_or_raise(self, what: str, error: AAuthError) -> None:
        if what in self._retried:
            raise error
        self._retried.add(what)
        self._last_met = None

    # ------------------------------------------------------------------ deferred responses

    def _digest(self, response: Response) -> Flow[Response]:
        """Meet `requirement=auth-token` in a `202` while its invocation is held (#deferred-auth-token)."""
        requirement = requirement_of(response, self.resource) if response.status == 202 else None
        if requirement is None or requirement.value != AUTH_TOKEN:
            return response
        self._held = True
        stripped = Response(response.status, response.headers.with_(aauth_requirement=None), response.body)
        if requirement.resource_token is not None and requirement.resource_token in self._redeemed:
            return stripped
        if len(self._redeemed) >= self.agent.max_round_trips:
            raise NoProgress(
                f"{self.resource} sends resource token after resource token for one held request and never answers it."
            )
        self._last_met = None
        yield Report(
            "challenge", {"resource": self.resource, "asks": AUTH_TOKEN, "with": self._attempt.credential.name}
        )
        yield from self._obtain_auth_token(requirement, response, self._attempt)
        return stripped

    def _direct(self, direct: Direct) -> Flow[None]:
        """Get the person to the resource's page: through the person server first, else by this agent itself."""
        yield from self._end_relay()
        self._relay = yield from self._person_server.relay(direct)
        if self._relay is None:
            refuse_direct(self.agent, direct)
            yield direct

    def _end_relay(self) -> Flow[None]:
        if self._relay is not None:
            yield from self._relay.close()


def _shown(value: str) -> str:
    return value if len(value) <= 64 and value.isprintable() else "of an unreadable name"
