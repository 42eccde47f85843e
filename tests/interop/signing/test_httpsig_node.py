"""@hellocoop/httpsig 2.2.0 in Node.js: it verifies what we sign and we verify what it signs, under all four schemes.

It builds `@query` without the leading question mark that RFC 9421, Section 2.2.7 has; it does not cover `@query` unless
told to, so requests with a query agree as long as nobody covers it (docs/interop.md).
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aauthlib.errors import InvalidInput, InvalidSignature, SignatureError
from aauthlib.http import Fields, Request
from aauthlib.keys import SigningKey
from tests.conftest import NODE_PEERS
from tests.interop.signing.messages import AS_WRITTEN, beyond_the_profile, requests
from tests.interop.signing.parties import ES256, LEVELS, SCHEMES, SERVER, URL, Parties, arrived, base_of, post

pytestmark = [pytest.mark.interop, pytest.mark.spec("#verification", "#covered-components")]

GET = Request("GET", URL)
POST = post(URL)
PARTIES = Parties()


class Peer:
    """The peer in a process of its own, asked line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, **question: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "failed" not in answer, answer
        return dict(answer)

    def verify(self, request: Request, *, query: str | None = None) -> dict[str, Any]:
        return self.ask(
            op="verify",
            method=request.method,
            authority=request.authority,
            path=request.path,
            query=query if query is not None else request.query,
            headers=dict(request.headers),
            body=encoded(request.body),
            documents=PARTIES.documents(),
        )

    def sign(
        self,
        request: Request,
        scheme: str,
        components: list[str] | None = None,
        *,
        parties: Parties = PARTIES,
        agreed: bool = True,
    ) -> Request:
        """`request` as the peer signs it; `agreed` says whether the base it signs is ours."""
        key, signature_key = parties.signer(scheme)
        keying: dict[str, object] = {
            "hwk": {"type": "hwk"},
            "jwt": {"type": "jwt", "jwt": getattr(signature_key, "jwt", "")},
            "jkt-jwt": {"type": "jkt_jwt", "jwt": getattr(signature_key, "jwt", "")},
            "jwks_uri": {"type": "jwks_uri", "id": SERVER, "dwk": "aauth-resource.json", "kid": key.kid},
        }[scheme]
        answer = self.ask(
            op="sign",
            method=request.method,
            url=request.url,
            headers=dict(request.headers),
            body=encoded(request.body),
            signingKey=key.to_private_jwk(),
            signatureKey=keying,
            components=components,
        )
        signed = arrived(request, answer["headers"])
        assert (base64.b64decode(answer["base"]) == base_of(signed)) is agreed
        return signed


def encoded(body: bytes) -> str | None:
    return base64.b64encode(body).decode() if body else None


@pytest.fixture(scope="module")
def peer(needs_node: str) -> Iterator[Peer]:
    process = subprocess.Popen(
        [needs_node, "httpsig_cli.mjs"], cwd=NODE_PEERS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        yield Peer(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_verifies_what_we_sign(peer: Peer, scheme: str, request_: Request) -> None:
    result = peer.verify(PARTIES.signed(request_, scheme))
    assert result["verified"] is True, result
    assert result["thumbprint"] == PARTIES.signer(scheme)[0].thumbprint


@pytest.mark.parametrize("scheme", SCHEMES)
def test_it_refuses_what_we_signed_once_the_path_changes(peer: Peer, scheme: str) -> None:
    signed = PARTIES.signed(GET, scheme)
    assert peer.verify(Request("GET", URL + "/more", signed.headers))["verified"] is False


@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_we_verify_what_it_signs(peer: Peer, scheme: str, request_: Request) -> None:
    assert PARTIES.verified(peer.sign(request_, scheme)).level is LEVELS[scheme]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_we_refuse_what_it_signed_once_the_body_changes(peer: Peer, scheme: str) -> None:
    signed = peer.sign(POST, scheme)
    with pytest.raises(SignatureError):
        PARTIES.verified(Request("POST", URL, Fields(signed.headers), b'{"a":2}'))


@pytest.mark.parametrize("scheme", ES256)
def test_each_verifies_the_other_with_es256(peer: Peer, scheme: str) -> None:
    parties = Parties(agent=SigningKey.generate("ES256"))
    result = peer.verify(parties.signed(POST, scheme))
    assert result["verified"] is True, result
    assert parties.verified(peer.sign(POST, scheme, parties=parties)).key == parties.agent.public


def test_its_query_component_lacks_the_question_mark(peer: Peer) -> None:
    """Should this fail, the peer was corrected: cover @query in these tests and say so in docs/interop.md."""
    asked = Request("GET", URL + "?a=b")
    ours = PARTIES.signed(asked, "hwk")
    assert ours.headers.get("signature-key") is not None
    assert peer.verify(ours)["verified"] is False
    assert peer.verify(ours, query="?a=b")["verified"] is True
    theirs = peer.sign(asked, "hwk", ["@method", "@authority", "@path", "@query", "signature-key"], agreed=False)
    with pytest.raises(InvalidSignature):
        PARTIES.verified(theirs)


COVERED = ("@method", "@authority", "@path", "signature-key")


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request_=requests(), scheme=st.sampled_from(SCHEMES))
def test_it_verifies_what_we_sign_on_any_request_and_builds_the_same_base(
    peer: Peer, request_: Request, scheme: str
) -> None:
    signed = PARTIES.signed(request_, scheme, cover=beyond_the_profile(request_, query=False))
    result = peer.verify(signed)
    assert result["verified"] is True, result
    assert base64.b64decode(result["base"]) == base_of(signed)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request_=requests(hosts=AS_WRITTEN), scheme=st.sampled_from(SCHEMES))
def test_we_verify_what_it_signs_on_any_request_and_build_the_same_base(
    peer: Peer, request_: Request, scheme: str
) -> None:
    covered = [*COVERED, *beyond_the_profile(request_, query=False)]
    covered += ["content-type", "content-digest"] if request_.body else []
    signed = peer.sign(request_, scheme, covered)
    assert PARTIES.verified(signed).level is LEVELS[scheme]


def test_it_leaves_what_must_be_covered_and_the_tokens_own_signature_to_its_caller(peer: Peer) -> None:
    """Should this fail, the peer became stricter: say so in docs/interop.md."""
    bare = peer.sign(GET, "hwk", ["signature-key"])
    assert peer.verify(bare)["verified"] is True
    with pytest.raises(InvalidInput):
        PARTIES.verified(bare)
    # A token that somebody made who is not the provider.
    forged = Parties(agent=PARTIES.agent).signed(GET, "jwt")
    assert peer.verify(forged)["verified"] is True
    with pytest.raises(SignatureError):
        PARTIES.verified(forged)
