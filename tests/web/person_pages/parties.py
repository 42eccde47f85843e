"""The parties around a person server under test: an agent provider, an agent and a resource, with keys of their own."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from aauthlib.http import Fields, Request, Response
from aauthlib.httpsig import JWT, sign
from aauthlib.keys import JWKS, SigningKey
from aauthlib.messages.requirement import Requirement
from aauthlib.tokens import AuthToken, PersonToken, VerificationPolicy, issue_agent_token, issue_resource_token, verify

LOGO = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 44 44"><rect width="44" height="44" fill="%s"/>'
    b'<path d="M12 16h20v16H12zM12 21h20M17 13v5M27 13v5" fill="none" stroke="#fff" stroke-width="2.5"/></svg>'
)


@dataclass
class Parties:
    """Names, keys and documents. `ps`, `ap` and `resource` are issuers."""

    ps: str
    ap: str
    resource: str
    clock: Callable[[], float]
    agent_name: str = "calendar-helper"
    ap_key: SigningKey = field(default_factory=SigningKey.generate)
    resource_key: SigningKey = field(default_factory=SigningKey.generate)
    agent_key: SigningKey = field(default_factory=SigningKey.generate)
    ap_metadata: dict[str, Any] = field(default_factory=dict)
    resource_metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def sub(self) -> str:
        return f"aauth:{self.agent_name}@{self.ap.partition('://')[2].partition(':')[0]}"

    def documents(self) -> dict[str, dict[str, Any]]:
        """What the agent provider and the resource publish, by URL."""
        return {
            f"{self.ap}/.well-known/aauth-agent.json": {
                "issuer": self.ap,
                "jwks_uri": f"{self.ap}/jwks.json",
                "name": "Assistant Works",
                "logo_uri": f"{self.ap}/logo.svg",
                "callback_endpoint": f"{self.ap}/callback",
                **self.ap_metadata,
            },
            f"{self.ap}/jwks.json": JWKS.of(self.ap_key).to_document(),
            f"{self.resource}/.well-known/aauth-resource.json": {
                "issuer": self.resource,
                "jwks_uri": f"{self.resource}/jwks.json",
                "name": "Example Calendar",
                "description": "Your **events**, shared calendars and reminders.",
                "logo_uri": f"{self.resource}/logo.svg",
                "access_mode": "auth-token",
                "scope_descriptions": {
                    "calendar.read": "See all your events",
                    "calendar.write": "Create, change and **delete** events",
                },
                **self.resource_metadata,
            },
            f"{self.resource}/jwks.json": JWKS.of(self.resource_key).to_document(),
        }

    def signed(self, method: str, url: str, body: Any = None) -> Request:
        """A request by the agent."""
        content = b"" if body is None else msgspec.json.encode(body)
        fields = {} if body is None else {"content-type": "application/json"}
        token = issue_agent_token(
            self.ap_key,
            iss=self.ap,
            sub=self.sub,
            cnf=self.agent_key.public,
            jti=secrets.token_hex(8),
            now=self.clock(),
            ps=self.ps,
        )
        return sign(
            Request(method, url, Fields(fields), content), self.agent_key, JWT(token), created=int(self.clock())
        )

    def ask_person_token(self, **body: Any) -> Request:
        body = {"resource": self.resource, "capabilities": ["interaction"], **body}
        return self.signed("POST", f"{self.ps}/person-token", body)

    def ask_auth_token(
        self, person_token: str, scope: str, *, access_server: str | None = None, **body: Any
    ) -> Request:
        """`person_token` as the person server issued it."""
        resource_token = issue_resource_token(
            self.resource_key,
            iss=self.resource,
            presented=self._read(person_token),
            jti=secrets.token_hex(8),
            now=self.clock(),
            scope=scope.split(),
            access_server=access_server,
        )
        body = {
            "resource_token": resource_token,
            "presented_token": person_token,
            "capabilities": ["interaction"],
            **body,
        }
        return self.signed("POST", f"{self.ps}/auth-token", body)

    def step_up(self, presented: AuthToken, text: str, scope: str) -> Request:
        """Ask for more, presenting an auth token and its `text`."""
        resource_token = issue_resource_token(
            self.resource_key,
            iss=self.resource,
            presented=presented,
            jti=secrets.token_hex(8),
            now=self.clock(),
            scope=scope.split(),
            access_server=presented.iss,
        )
        body = {"resource_token": resource_token, "presented_token": text, "capabilities": ["interaction"]}
        return self.signed("POST", f"{self.ps}/auth-token", body)

    def poll(self, answer: Response) -> Request:
        location = answer.headers.get("location")
        assert location is not None
        return self.signed("GET", location)

    #: Looks up the person server's key; set by whoever runs it.
    ps_jwks: Callable[[], JWKS] | None = None

    def _read(self, person_token: str) -> PersonToken:
        """The token as the resource verifies it, with the person server's key at hand."""
        assert self.ps_jwks is not None
        flow = verify(person_token, PersonToken, now=self.clock(), policy=VerificationPolicy(dev=True))
        effect = next(flow)
        try:
            flow.send(self.ps_jwks().find(effect.kid))  # type: ignore[union-attr]
        except StopIteration as end:
            token: PersonToken = end.value
            return token
        raise AssertionError("one key is all that verification needs")


def invitation(answer: Response) -> Requirement:
    """The interaction that a `202` asks for."""
    assert answer.status == 202, answer.body
    requirement = Requirement.parse(answer.headers.get("aauth-requirement") or "")
    assert requirement.url is not None
    assert requirement.code is not None
    return requirement


def page_url(answer: Response) -> str:
    """What the agent opens the browser at."""
    asked = invitation(answer)
    return f"{asked.url}?code={asked.code}"
