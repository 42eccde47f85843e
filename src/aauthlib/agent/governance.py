"""What an agent asks its person beyond tokens, and what it reports to them.

#missions, #permission-endpoint, #audit-endpoint, #interaction-endpoint. The person decides, so each answer may take
hours; it is waited for as for a token. In a mission that is over nothing is sent any more (#mission-status-errors).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ..effects import Flow, Report
from ..errors import InvalidIdentifier, InvalidRequest
from ..http import Response
from ..identifiers import endpoint_url, server_identifier
from ..messages.interaction import INTERACTION_TYPE, PAYMENT_TYPE, QUESTION_TYPE, InteractionRequest
from ..messages.missions import (
    AuditRequest,
    MissionProposal,
    MissionRequest,
    PermissionRequest,
    Tool,
    check_markdown,
    check_s256,
)
from ..tokens import AgentToken, PersonToken
from .asking import Asking, json_post, read_answer
from .chain import ServerDialogue
from .credentials import Credential
from .errors import ChallengeInvalid, ChallengeUnmet
from .missions import ApprovedMission, MissionUpdate, Permission, approved_mission, tool_of

__all__ = ["GovernanceClient"]

_COMPLETED = "completed"


class _Approval(msgspec.Struct):
    s256: str
    mission: str
    capabilities: list[str] | None = None
    person_tokens: dict[str, str] | None = None


class _Accepted(msgspec.Struct):
    s256: str


class _Answer(msgspec.Struct):
    answer: str


class _Decision(msgspec.Struct):
    permission: str
    reason: str | None = None


class GovernanceClient(Asking):
    """One agent with its person, about what it does."""

    # ------------------------------------------------------------------ missions

    def propose(
        self, description: str, *, tools: Sequence[Tool | str] = (), resources: Sequence[str] = ()
    ) -> Flow[ApprovedMission]:
        """Propose a mission and wait for the person (#mission-creation).

        Person tokens in the answer are verified and used from then on. Raises `InvalidRequest` for a proposal that
        cannot be one, `Denied`, `UserUnreachable`, `ChallengeUnmet` without a mission endpoint, and `ChallengeInvalid`
        when the answer is not what was asked for.
        """
        proposal = MissionProposal(
            description=description,
            tools=tuple(tool_of(tool) for tool in tools),
            resources=tuple(resources),
            capabilities=self._capabilities(),
        )
        proposal.check(self._resource)
        own, ps, endpoint = yield from self._endpoint("mission_endpoint", "a mission")
        response = yield from self._post(endpoint, msgspec.json.encode(proposal))
        answer = read_answer(_Approval, response, ps)
        assert isinstance(own.token, AgentToken)
        mission = approved_mission(
            answer.mission,
            answer.s256,
            ps=ps,
            agent=own.token.sub,
            proposal=proposal,
            capabilities=answer.capabilities,
        )
        for resource, text in (answer.person_tokens or {}).items():
            yield from self._keep(text, resource, ps, own, mission)
        yield Report("mission", {"ps": ps, "s256": mission.s256, "changed": sorted(mission.changed)})
        return mission

    def update(self, description: str) -> Flow[MissionUpdate]:
        """Record a change in the work of this mission and wait until the person accepts it (#mission-update).

        Raises `Denied` when they do not; the mission goes on either way.
        """
        check_markdown(description, "description")
        answer = yield from self._act(MissionRequest(action="update", description=description))
        yield Report("mission-update", {"s256": answer.s256})
        return MissionUpdate(description, answer.s256)

    def complete(self, summary: str) -> Flow[None]:
        """Propose that this mission is finished and wait until the person agrees (#mission-completion).

        The mission is then over. Raises `Denied` when they do not agree; the mission goes on.
        """
        check_markdown(summary, "summary")
        mission = self._mission()
        _, _, endpoint = yield from self._endpoint("mission_endpoint", "the end of a mission")
        body = MissionRequest(action="completion", summary=summary, capabilities=self._capabilities())
        yield from self._post(f"{endpoint}/{mission}", msgspec.json.encode(body))
        self._agent.speaker.credentials.end_mission(mission, _COMPLETED)
        yield Report("mission-completed", {"s256": mission})

    # ------------------------------------------------------------------ actions that no resource governs

    def permission(
        self, action: str, *, description: str | None = None, parameters: dict[str, Any] | None = None
    ) -> Flow[Permission]:
        """Ask whether `action` may be done, in the mission where there is one (#permission-request)."""
        body = PermissionRequest(
            action=action,
            description=description,
            parameters=parameters,
            mission_s256=self._preferences.mission_s256,
            capabilities=self._capabilities(),
        )
        body.check()
        _, ps, endpoint = yield from self._endpoint("permission_endpoint", "a permission")
        response = yield from self._post(endpoint, msgspec.json.encode(body))
        answer = read_answer(_Decision, response, ps)
        if answer.permission not in ("granted", "denied"):
            # Whatever else it may mean, it is not "granted".
            raise ChallengeInvalid(f"{ps} neither granted nor denied the permission.", response=response)
        yield Report("permission", {"action": action, "permission": answer.permission})
        return Permission(answer.permission == "granted", answer.reason)

    def audit(
        self,
        action: str,
        *,
        description: str | None = None,
        parameters: dict[str, Any] | None = None,
        result: dict[str, Any] | None = None,
    ) -> Flow[None]:
        """Report an action that was done in this mission (#audit-request); returns once it is recorded."""
        body = AuditRequest(
            mission_s256=self._mission(),
            action=action,
            description=description,
            parameters=parameters,
            result=result,
        )
        body.check()
        _, ps, endpoint = yield from self._endpoint("audit_endpoint", "a mission's record")
        dialogue = ServerDialogue(self._agent.speaker, endpoint)
        # Nobody waits for this, so a server that has enough for now is given time.
        response = yield from self._send(dialogue, json_post(endpoint, body), patient_with=(429, 503))
        if response.status != 201:
            raise self._refusal(response)
        yield Report("audit", {"ps": ps, "action": action})

    # ------------------------------------------------------------------ reaching the person

    def ask(self, question: str, *, description: str | None = None) -> Flow[str]:
        """Have the person server ask the person, and return their answer (#interaction-response-poll-authority).

        Raises `UserUnreachable`, or `Denied` when they do not answer.
        """
        document = {"type": QUESTION_TYPE, "question": question, "description": description}
        ps, response = yield from self._reach(document, "an answer of the person's")
        answer = read_answer(_Answer, response, ps).answer
        yield Report("answer", {"ps": ps})
        return answer

    def relay(
        self,
        url: str,
        code: str,
        *,
        payment: bool = False,
        description: str | None = None,
        max_wait_s: int | None = None,
    ) -> Flow[None]:
        """Have the person server bring the person to a page; returns when they went there (#interaction-relay).

        Whether they have done there what they were to do is for the host of the page to say. Raises
        `InteractionUnavailable` when the person server cannot tell them, `Denied` when they do not want to go,
        `Expired` after `max_wait_s` seconds.
        """
        document = {
            "type": PAYMENT_TYPE if payment else INTERACTION_TYPE,
            "url": url,
            "code": code,
            "description": description,
            "max_wait": max_wait_s,
        }
        ps, _ = yield from self._reach(document, "a way to the person")
        yield Report("relayed", {"ps": ps, "payment": payment})

    def _reach(self, document: Mapping[str, Any], what: str) -> Flow[tuple[str, Response]]:
        body = InteractionRequest(
            **document, mission_s256=self._preferences.mission_s256, capabilities=self._capabilities()
        )
        body.check(lambda url: endpoint_url(url, dev=self._agent.dev, what="The interaction URL"))
        _, ps, endpoint = yield from self._endpoint("interaction_endpoint", what)
        return ps, (yield from self._post(endpoint, msgspec.json.encode(body)))

    # ------------------------------------------------------------------ within

    def _act(self, body: MissionRequest) -> Flow[_Accepted]:
        mission = self._mission()
        _, ps, endpoint = yield from self._endpoint("mission_endpoint", "a change of a mission")
        body = msgspec.structs.replace(body, capabilities=self._capabilities())
        response = yield from self._post(f"{endpoint}/{mission}", msgspec.json.encode(body))
        return read_answer(_Accepted, response, ps)

    def _mission(self) -> str:
        mission = self._preferences.mission_s256
        if mission is None:
            raise InvalidRequest("This needs a mission. Propose one first.")
        return check_s256(mission)

    def _endpoint(self, name: str, what: str) -> Flow[tuple[Credential, str, str]]:
        """The agent's own credential, its person server, and an endpoint there. Raises `ChallengeUnmet`."""
        if self._agent.parent is not None or self._upstream is not None:
            raise ChallengeUnmet(
                f"Only an agent with a person of its own asks for {what}: a sub-agent works in its parent's mission, "
                "a resource in its caller's."
            )
        own, ps, metadata = yield from self._person_server(what)
        endpoint = getattr(metadata, name)
        if endpoint is None:
            raise ChallengeUnmet(f"{ps} does not offer {what}: its metadata names no {name}.")
        return own, ps, endpoint

    def _capabilities(self) -> list[str]:
        return list(self._agent.capabilities)

    def _resource(self, value: str) -> str:
        try:
            return server_identifier(value, dev=self._agent.dev)
        except InvalidIdentifier as error:
            raise InvalidRequest(f"resources lists what is no resource's identifier. {error.detail}") from error

    def _keep(self, text: str, resource: str, ps: str, own: Credential, mission: ApprovedMission) -> Flow[None]:
        """Verify a person token of the answer, and hold it for its resource."""
        if resource not in mission.terms.approved_resources:
            raise ChallengeInvalid(f"{ps} sent a person token for a resource that the mission does not approve.")
        token = yield from self._verified(text, PersonToken, ps)
        assert own.key is not None
        for what, ours, theirs in (
            ("another person server", ps, token.iss),
            ("another resource", resource, token.aud),
            ("another key", own.key.public.thumbprint, token.cnf.thumbprint),
            ("another mission", mission.s256, token.mission_s256),
        ):
            if ours != theirs:
                raise ChallengeInvalid(f"The person token that {ps} sent is for {what} than was proposed.")
        current = self._agent.credentials.own
        if current is None or current.key is None or current.key.public != token.cnf:
            # The agent has a new key by now; a token for the old one is of no use.
            yield Report("token-dropped", {"resource": resource})
            return
        self._agent.credentials.at(token.aud).keep_person_token(token)
        yield Report("person-token", {"ps": ps, "resource": resource, "exp": token.exp})
