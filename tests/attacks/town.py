"""The city with a loop of its own, driven step by step, and what every answer to bad input must be."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from aauthlib.demo.browser import ScriptedPerson
from aauthlib.fields import parse_dictionary
from aauthlib.http import Request, Response
from aauthlib.jws import parse
from aauthlib.keys import SigningKey
from aauthlib.messages.requirement import Requirement
from aauthlib.tokens import issue_person_token

from .world import AP, CALENDAR, EVIL_PS, PS, Agent, City, presented


@dataclass(repr=False)
class Town:
    """The city with a loop of its own, an honest agent and an attacker's, and what they hold."""

    runner: asyncio.Runner
    city: City
    agent: Agent = field(init=False)
    person: str = field(init=False)
    auth: str = field(init=False)
    evil: Agent = field(init=False)
    evil_person: str = field(init=False)
    durable: SigningKey = field(default_factory=SigningKey.generate)
    bob: ScriptedPerson = field(init=False)
    bob_csrf: str = field(init=False)

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def send(self, request: Request, **scope: Any) -> Response:
        answer: Response = self.run(self.city.send(request, **scope))
        return answer

    async def settle(self) -> None:
        self.agent = await self.city.newcomer()
        self.person = await self.agent.person_token()
        self.auth = await self.agent.auth_token(self.person, "calendar.read", "calendar.write", "calendar.delete")
        self.evil = self.city.evil_agent()
        self.bob = await self.city.signed_in("bob")
        await self.bob.visit(f"{PS}/security")
        self.bob_csrf = dict(self.bob.form_with("csrf").fields)["csrf"]
        answer = await self.city.send(self.city.signed("POST", f"{AP}/enroll", self.durable, body={}))
        assert answer.status == 201
        self.evil_person = issue_person_token(
            self.city.evil,
            iss=EVIL_PS,
            aud=CALENDAR,
            sub="evil",
            cnf=self.evil.key.public,
            jti="evil",
            now=self.city.clock(),
            not_after=self.city.clock() + 3000,
        )

    def good(self, request: Request) -> None:
        """The server that got `request` is still there, and so is every other."""
        good = {
            AP: Request("GET", f"{AP}/.well-known/aauth-agent.json"),
            PS: self.city.signed(
                "POST", f"{PS}/person-token", self.agent.key, self.agent.token, body={"resource": CALENDAR}
            ),
            CALENDAR: self.city.signed("GET", f"{CALENDAR}/events", self.agent.key, self.auth),
        }[request.origin]
        assert self.send(good).status == 200


# ------------------------------------------------------------------------- what an answer must be

#: What answers programs at the person server; every other address there is a page.
API = re.compile(r"/person-token|/auth-token|/revocation|/pending/[^/]+|/\.well-known/aauth-person(-jwks)?\.json")


def is_page(request: Request) -> bool:
    path = request.path
    if request.origin == PS:
        return API.fullmatch(unquote(path)) is None
    return path.startswith("/aauth/interaction/") or (request.origin == AP and path in ("/", "/callback"))


def check(town: Town, request: Request, answer: Response, *, application: bool = False) -> None:
    """An answer to bad input, or to input that turned out to be good."""
    assert answer.status < 500, answer.body
    text = answer.body.decode("utf-8", "replace") + "\n".join(f"{name}: {value}" for name, value in answer.headers)
    for name, value in answer.headers:
        assert value.isascii(), name
        assert "\r" not in value, name
        assert "\n" not in value, name
    if answer.status >= 400:
        echo = presented(request)
        for secret in (echo, town.auth, town.person, town.agent.token, request.headers.get("signature")):
            if secret and len(secret.rpartition(".")[2]) > 40:
                assert secret.rpartition(".")[2][-40:] not in text
        assert "Traceback" not in text
    media_type = (answer.headers.get("content-type") or "").partition(";")[0]
    if is_page(request):
        if media_type == "application/problem+json":
            # Not a visit to a page: the target or the method itself was malformed.
            assert request.method == "HEAD" or answer.json()["error"]
            return
        if answer.status >= 400:
            assert media_type in ("text/html", "text/plain"), answer.headers
        if media_type == "text/html":
            assert "default-src 'none'" in (answer.headers.get("content-security-policy") or "")
            assert b"<script>" not in answer.body
        return
    if answer.status < 400 or (application and media_type == "application/json"):
        return
    assert media_type == "application/problem+json", (answer.status, answer.headers)
    if request.method == "HEAD" and not answer.body:
        return
    problem = answer.json()
    assert problem["status"] == answer.status
    if answer.status == 401:
        if "aauth-requirement" in answer.headers and "signature-error" not in answer.headers:
            Requirement.parse(answer.headers.get("aauth-requirement") or "")
            return
        members = parse_dictionary(answer.headers.get("signature-error") or "")
        assert str(members["error"][0]) == problem["error"]
    else:
        assert "signature-error" not in answer.headers
        assert isinstance(problem["error"], str)
        assert problem["error"]


def drive(town: Town, request: Request, *, application: bool = False, **scope: Any) -> Response:
    """Send, check, withdraw what was opened, and see that the server is well."""
    answer = town.send(request, **scope)
    check(town, request, answer, application=application)
    location = answer.headers.get("location") or ""
    if answer.status == 202 and location:
        token = presented(request)
        ours = token is None or parse(token).header.get("kid") != town.city.evil.kid
        key = town.agent.key if ours else town.evil.key
        town.send(town.city.signed("DELETE", location, key, token))
    town.good(request)
    return answer
