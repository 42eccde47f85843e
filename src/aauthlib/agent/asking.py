"""Speaking to the person server: what to send where, and seeing a request through to its answer.

`PersonServerClient` asks for tokens, `GovernanceClient` for missions and permissions; both stand on this. For a
sub-agent its parent signs (#parent-mediated-authorization). Knows nothing of how a resource is spoken to.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from ..deferred.polling import DEFAULT_POLL_INTERVAL_S
from ..effects import Direct, FindMetadata, Flow, Sleep
from ..errors import AAuthError, ConfigurationError, MissionTerminated
from ..http import Fields, Request, Response
from ..identifiers import origin_of
from ..messages.headers import parse_retry_after
from ..messages.metadata import PersonServerMetadata, read_metadata
from ..messages.problems import error_of
from ..tokens import PERSON_DWK, AgentToken, AuthToken, PersonToken, verify
from .chain import ServerDialogue, agent_credential
from .context import AgentContext, GrantPreferences, OpenRequests
from .credentials import Credential
from .deferral import follow_through, look_again, refuse_direct
from .errors import ChallengeInvalid, ChallengeUnmet
from .patience import Patience
from .waits import Wait

__all__ = ["ACCEPT_JSON", "Asking", "json_post", "read_answer"]

_T = TypeVar("_T", PersonToken, AuthToken)
_S = TypeVar("_S")

_MAX_BACK_OFFS = 3
_MAX_BACK_OFF_S = 60.0
_JSON = Fields({"content-type": "application/json", "accept": "application/json"})
_ANSWER = Wait()
ACCEPT_JSON = Fields({"accept": "application/json"})


class Asking:
    """One agent at its person server, within one exchange."""

    def __init__(
        self, agent: AgentContext, *, preferences: GrantPreferences | None = None, open_requests: OpenRequests
    ) -> None:
        self._agent, self._open = agent, open_requests
        self._preferences = preferences if preferences is not None else agent.preferences
        self._upstream = agent.speaker.upstream
        self.patience = Patience(agent.clock, agent.poll)

    def _person_server(self, what: str) -> Flow[tuple[Credential, str, PersonServerMetadata]]:
        """The agent's own credential, its person server and that server's metadata; `what` is wanted of it.

        Raises `ChallengeUnmet` without a person server, and `MissionTerminated` in a mission that is known to be over:
        the agent stops acting on it (#mission-status-errors).
        """
        self._agent.speaker.credentials.refuse_ended(self._preferences.mission_s256)
        speaker = yield from agent_credential(self._agent.speaker)
        own = speaker if self._agent.parent is None else (yield from agent_credential(self._agent))
        token = speaker.token
        if self._upstream is not None:
            # Not the intermediary's own person server, if it has one: the person's (#call-chaining).
            ps: str | None = self._upstream.person_server
        else:
            ps = token.ps if isinstance(token, AgentToken) else None
        if ps is None:
            raise ChallengeUnmet(
                f"Only a person server can give {what}, and this agent has none. Name one when the identity is made "
                "(`aauth init --ps https://...`), or do without."
            )
        metadata = yield from self._metadata(ps)
        return own, ps, metadata

    def _metadata(self, ps: str) -> Flow[PersonServerMetadata]:
        document = yield FindMetadata(ps, PERSON_DWK)
        return read_metadata(PersonServerMetadata, document, issuer=ps, dev=self._agent.dev)

    def _post(self, endpoint: str, body: bytes, wait: Wait = _ANSWER) -> Flow[Response]:
        """Send a request and see it through to its terminal answer, which is returned when it is `200`.

        The wait for what is decided goes on where it was asked for before and the answer was `expired`.
        """
        dialogue = ServerDialogue(self._agent.speaker, endpoint)
        since = self.patience.begin(wait.gives)
        ends = since + self._agent.poll.deadline_s
        response = yield from self._send(dialogue, Request("POST", endpoint, _JSON, body), until=ends)
        if response.status == 202:
            response = yield from follow_through(
                response,
                url=endpoint,
                agent=self._agent,
                deliver=dialogue.send,
                direct=self._direct,
                digest=None,
                open_requests=self._open,
                at_person_server=True,
                wait=wait,
                since=since,
            )
        if response.status != 200:
            raise self._refusal(response)
        self.patience.end(wait.gives)
        return response

    def _look_again(self, endpoint: str, wait: Wait) -> Flow[Response]:
        """See a request of before through to its terminal answer, whatever that is.

        Raises `ConfigurationError` where it did not wait at this server: no signature of the agent goes elsewhere.
        """
        if origin_of(wait.location) != origin_of(endpoint):
            raise ConfigurationError("This request waits at another person server than the agent has now.")
        dialogue = ServerDialogue(self._agent.speaker, endpoint)
        since = self.patience.begin(wait.gives)
        ends = since + self._agent.poll.deadline_s
        response = yield from look_again(self._agent, dialogue.send, wait, ends=ends)
        if response.status == 202:
            response = yield from follow_through(
                response,
                url=endpoint,
                agent=self._agent,
                deliver=dialogue.send,
                direct=self._direct,
                digest=None,
                open_requests=self._open,
                at_person_server=True,
                wait=wait,
                since=since,
            )
        self._open.closed(wait.location)
        return response

    def _refusal(self, response: Response) -> AAuthError:
        """The error a response stands for; that a mission is over is remembered."""
        error = error_of(response)
        mission = self._preferences.mission_s256
        if isinstance(error, MissionTerminated) and mission is not None:
            self._agent.speaker.credentials.end_mission(mission, error.reason)
        return error

    def _send(
        self,
        dialogue: ServerDialogue,
        request: Request,
        *,
        patient_with: tuple[int, ...] = (503,),
        until: float | None = None,
    ) -> Flow[Response]:
        """Send one request; again, after the pause it asks for, while the status is one of `patient_with`.

        That ends at `until` (Unix seconds), or else after a few times, of a minute at most.
        """
        response = yield from dialogue.send(request)
        tried = 1
        while response.status in patient_with:
            pause = parse_retry_after(response.headers, now=self._agent.clock(), default_s=DEFAULT_POLL_INTERVAL_S)
            pause = max(pause, 1.0)
            if until is None:
                pause = min(pause, _MAX_BACK_OFF_S)
            if tried > _MAX_BACK_OFFS if until is None else self._agent.clock() + pause > until:
                break
            yield Sleep(pause)
            response = yield from dialogue.send(request)
            tried += 1
        return response

    def _direct(self, direct: Direct) -> Flow[None]:
        refuse_direct(self._agent, direct)
        yield direct

    def _verified(self, text: str, cls: type[_T], ps: str) -> Flow[_T]:
        try:
            return (
                yield from verify(
                    text, cls, now=self._agent.now(), policy=self._agent.verification, cache=self._agent.tokens
                )
            )
        except AAuthError as error:
            raise ChallengeInvalid(f"The token that {ps} sent fails verification. {error.detail}") from error


def json_post(url: str, document: object) -> Request:
    """A POST of a JSON document."""
    return Request("POST", url, _JSON, msgspec.json.encode(document))


def read_answer(cls: type[_S], response: Response, ps: str) -> _S:
    """The body of a successful answer. Raises `ChallengeInvalid` when it is something else."""
    try:
        return msgspec.json.decode(response.body, type=cls)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ChallengeInvalid(
            f"{ps} answered with something that is no answer to what was asked.", response=response
        ) from error
