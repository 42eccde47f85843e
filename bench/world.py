"""The parties and requests that are measured: a provider, an agent that returns, many that never came before."""

from __future__ import annotations

import time
from collections.abc import Iterable

from aauthlib.discovery import Directory
from aauthlib.effects import Send
from aauthlib.http import Fields, Request, Response, json_response
from aauthlib.httpsig import SignatureKey, sign
from aauthlib.keys import JWKS, SigningKey
from aauthlib.tokens import issue_agent_token
from aauthlib.transport import Wire

PROVIDER = "https://provider.example"
PERSON_SERVER = "https://ps.example"
RESOURCE = "https://resource.example"
URL = RESOURCE + "/calendar/2026-11/{}?view=week"
HEADERS = (
    ("host", "resource.example"),
    ("accept", "application/json"),
    ("accept-encoding", "gzip, deflate"),
    ("user-agent", "bench/1"),
)
#: Operations in one slice.
BATCH = 120


class Published:
    """The provider's metadata and keys, answered from memory."""

    def __init__(self, keys: JWKS) -> None:
        self._documents = {
            f"{PROVIDER}/.well-known/aauth-agent.json": {"issuer": PROVIDER, "jwks_uri": f"{PROVIDER}/jwks.json"},
            f"{PROVIDER}/jwks.json": keys.to_document(),
        }

    def send(self, effect: Send) -> Response:
        document = self._documents[effect.request.url]
        return json_response(200, document, headers=[("cache-control", "max-age=3600")])


class World:
    """Keys and tokens, made once."""

    def __init__(self) -> None:
        self.now = int(time.time())
        self.provider = SigningKey.generate(kid="provider-1")
        self.agent = SigningKey.generate()
        self.token = self.token_for(self.agent, 0)
        self.strangers = [SigningKey.generate() for _ in range(BATCH)]
        self.stranger_tokens = [self.token_for(key, number) for number, key in enumerate(self.strangers, 1)]

    def token_for(self, key: SigningKey, number: int) -> str:
        return issue_agent_token(
            self.provider,
            iss=PROVIDER,
            sub=f"aauth:assistant-{number}@provider.example",
            cnf=key.public,
            jti=f"{number:022}",
            now=self.now,
            ps=PERSON_SERVER,
        )

    def wire(self) -> Wire:
        """A wire whose directory has asked the provider once."""
        return Wire(Published(JWKS.of(self.provider)), Directory(clock=time.time))


def requests() -> list[Request]:
    """Unsigned requests, each another one."""
    return [Request("GET", URL.format(number), Fields(HEADERS)) for number in range(BATCH)]


def signed(keys: Iterable[tuple[SigningKey, SignatureKey]], *, keyid: str | None = None) -> list[Request]:
    """Signed requests as they arrive: values made anew, nothing computed beforehand."""
    made = (
        sign(request, key, scheme, created=int(time.time()), keyid=keyid)
        for request, (key, scheme) in zip(requests(), keys, strict=False)
    )
    return [Request(r.method, r.url, Fields([(n, v) for n, v in r.headers]), r.body) for r in made]
