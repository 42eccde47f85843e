"""An agent that is its own provider: files on disk, tokens, and what the world sees of them."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from aauthlib.discovery import Directory, EgressRefused, TransportError
from aauthlib.effects import FindKey, Flow, Send
from aauthlib.errors import AAuthError, ConfigurationError, InvalidIdentifier, TokenInvalid
from aauthlib.http import Fields, Response
from aauthlib.keys import PublicKey, SigningKey
from aauthlib.messages.metadata import AgentProviderMetadata, read_metadata
from aauthlib.provider import Published, check_published, publish, self_issue
from aauthlib.tokens import AgentToken, VerificationPolicy, verify

ISSUER = "https://me.example"
NOW = 1_800_000_000.0


class StaticHost:
    """A web host that serves a directory, with what may go wrong at one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.overrides: dict[str, Response | AAuthError] = {}
        self.content_type = "application/json"

    def run(self, flow: Flow[Any]) -> Any:
        try:
            effect = next(flow)
            while True:
                assert isinstance(effect, Send)
                assert effect.discovery
                answer = self.answer(effect.request.url)
                effect = flow.throw(answer) if isinstance(answer, AAuthError) else flow.send(answer)
        except StopIteration as end:
            return end.value

    def answer(self, url: str) -> Response | AAuthError:
        path = url.removeprefix(ISSUER)
        if path in self.overrides:
            return self.overrides[path]
        file = self.root / path.lstrip("/")
        if not url.startswith(ISSUER) or not file.is_file():
            return Response(404)
        return Response(200, Fields({"content-type": self.content_type}), file.read_bytes())

    def check(self, key: SigningKey | PublicKey) -> Published:
        result: Published = self.run(check_published(ISSUER, key))
        return result


@pytest.fixture
def key() -> SigningKey:
    return SigningKey.generate()


@pytest.fixture
def host(tmp_path: Path, key: SigningKey) -> StaticHost:
    publish(tmp_path, ISSUER, [key], name="Me")
    return StaticHost(tmp_path)


@pytest.mark.spec("#self-hosted-agents", "#agent-provider-metadata")
def test_what_is_published_is_a_valid_metadata_document(tmp_path: Path, key: SigningKey) -> None:
    document, key_set = publish(
        tmp_path,
        ISSUER,
        [key],
        name="Me & mine",
        description="**Mine**",
        logo_uri="https://cdn.example/l.png",
        callback_endpoint=f"{ISSUER}/callback",
        localhost_callback_allowed=True,
    )
    metadata = read_metadata(AgentProviderMetadata, json.loads(document.read_bytes()), issuer=ISSUER)
    assert (metadata.name, metadata.jwks_uri) == ("Me & mine", f"{ISSUER}/.well-known/jwks.json")
    assert (metadata.callback_endpoint, metadata.localhost_callback_allowed) == (f"{ISSUER}/callback", True)
    assert document == tmp_path / ".well-known" / "aauth-agent.json"
    (member,) = json.loads(key_set.read_bytes())["keys"]
    assert member == {**key.public.jwk, "kid": key.kid}


@pytest.mark.spec("#self-hosted-jwks-key-compromise")
def test_no_private_member_reaches_a_file(tmp_path: Path) -> None:
    keys = [SigningKey.generate(), SigningKey.generate("ES256")]
    publish(tmp_path, ISSUER, keys)
    published = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()).decode()
    for key in keys:
        assert key.to_private_jwk()["d"] not in published


@pytest.mark.spec("#self-hosted-agents")
def test_the_files_can_be_read_by_a_web_server_and_nothing_else_is_left(host: StaticHost) -> None:
    files = sorted((host.root / ".well-known").iterdir())
    assert [file.name for file in files] == ["aauth-agent.json", "jwks.json"]
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o644 for file in files)


@pytest.mark.spec("#self-hosted-agents")
def test_publishing_again_replaces_both_files(host: StaticHost, key: SigningKey) -> None:
    new = SigningKey.generate()
    publish(host.root, ISSUER, [new, key], name="Renamed")
    assert host.check(key).ok
    assert host.check(new).ok
    assert b"Renamed" in (host.root / ".well-known/aauth-agent.json").read_bytes()


@pytest.mark.spec("#server-identifiers", "#endpoint-and-other-urls")
def test_nothing_is_written_for_a_malformed_issuer_or_url(tmp_path: Path, key: SigningKey) -> None:
    with pytest.raises(InvalidIdentifier):
        publish(tmp_path, "https://me.example/", [key])
    with pytest.raises(InvalidIdentifier):
        publish(tmp_path, ISSUER, [key], logo_uri="http://cdn.example/l.png")
    with pytest.raises(InvalidIdentifier):
        publish(tmp_path, ISSUER, [key], callback_endpoint=f"{ISSUER}/cb?x=1")
    with pytest.raises(ConfigurationError):
        publish(tmp_path, ISSUER, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.spec("#self-hosted-refresh", "#agent-token-verification")
@pytest.mark.parametrize("alg", ["Ed25519", "ES256"])
def test_a_self_issued_token_verifies_against_what_is_published(tmp_path: Path, alg: str) -> None:
    key = SigningKey.generate(alg)
    publish(tmp_path, ISSUER, [key])
    host = StaticHost(tmp_path)
    token = self_issue(key, ISSUER, "aauth:assistant@me.example", "https://ps.example", NOW)
    directory = Directory(clock=lambda: NOW)
    flow = verify(token, AgentToken, now=NOW, policy=VerificationPolicy())
    find = next(flow)
    assert isinstance(find, FindKey)
    found = host.run(directory.find_key(find))
    with pytest.raises(StopIteration) as end:
        flow.send(found)
    verified = end.value.value
    assert (verified.sub, verified.ps, verified.cnf) == (
        "aauth:assistant@me.example",
        "https://ps.example",
        key.public,
    )
    assert verified.exp - verified.iat == 3600


@pytest.mark.spec("#self-hosted-refresh")
def test_each_self_issued_token_has_its_own_jti(key: SigningKey) -> None:
    tokens = {self_issue(key, ISSUER, "aauth:a@me.example", None, NOW) for _ in range(3)}
    assert len(tokens) == 3


@pytest.mark.spec("#agent-identifiers", "#agent-tokens")
def test_one_does_not_issue_what_others_would_refuse(key: SigningKey) -> None:
    for sub in ("aauth:a@other.example", "aauth:a+b@me.example", "a@me.example", "aauth:@me.example"):
        with pytest.raises(InvalidIdentifier):
            self_issue(key, ISSUER, sub, None, NOW)
    with pytest.raises(InvalidIdentifier):
        self_issue(key, ISSUER, "aauth:a@me.example", "https://ps.example/", NOW)
    with pytest.raises(TokenInvalid, match="24 hours"):
        self_issue(key, ISSUER, "aauth:a@me.example", None, NOW, lifetime_s=86_401)


@pytest.mark.spec("#metadata-documents")
def test_a_good_publication_has_no_problems(host: StaticHost, key: SigningKey) -> None:
    assert host.check(key) == Published()


METADATA = "/.well-known/aauth-agent.json"
KEYS = "/.well-known/jwks.json"


def as_json(document: object) -> Response:
    return Response(200, Fields({"content-type": "application/json"}), json.dumps(document).encode())


@pytest.mark.spec("#metadata-documents", "#jwks-discovery")
@pytest.mark.parametrize(
    ("path", "answer", "says"),
    [
        (METADATA, Response(404), "nojekyll"),
        (KEYS, Response(404), "jwks.json is not there"),
        (METADATA, Response(301, Fields({"location": "https://www.me.example/"})), "redirects"),
        (METADATA, Response(503), "answers 503"),
        (METADATA, Response(200, Fields(), b"<html>"), "not JSON"),
        (KEYS, Response(200, Fields(), b"[" * 9000), "not JSON"),
        (METADATA, as_json([]), "not an object"),
        (METADATA, as_json({"jwks_uri": ISSUER + KEYS}), "has no issuer"),
        (METADATA, as_json({"issuer": ISSUER + "/", "jwks_uri": ISSUER + KEYS}), "byte for byte"),
        (METADATA, as_json({"issuer": 5, "jwks_uri": ISSUER + KEYS}), "something else"),
        (METADATA, as_json({"issuer": ISSUER}), "no jwks_uri"),
        (METADATA, as_json({"issuer": ISSUER, "jwks_uri": "http://me.example/k"}), "not an https URL"),
        (METADATA, as_json({"issuer": ISSUER, "jwks_uri": ISSUER + KEYS, "logo_uri": "/l.png"}), "logo_uri"),
        (METADATA, TransportError("no route"), "cannot be fetched: no route"),
        (KEYS, EgressRefused("private address"), "private address"),
        (KEYS, as_json({}), "does not serve the key"),
        (KEYS, as_json({"keys": []}), "does not serve the key"),
    ],
)
def test_what_is_wrong_is_said_in_words(
    host: StaticHost, key: SigningKey, path: str, answer: Response | AAuthError, says: str
) -> None:
    host.overrides[path] = answer
    found = host.check(key)
    assert not found.ok
    assert any(says in problem for problem in found.problems)


@pytest.mark.spec("#jwks-discovery")
def test_another_key_under_the_same_kid_is_found_out(host: StaticHost, key: SigningKey) -> None:
    impostor = SigningKey.generate().public.to_jwk(kid=key.kid)
    host.overrides[KEYS] = as_json({"keys": [impostor]})
    assert any("another key" in problem for problem in host.check(key).problems)


@pytest.mark.spec("#jwks-discovery", "#signature-algorithms")
def test_a_published_key_without_alg_is_found_out(host: StaticHost, key: SigningKey) -> None:
    member = {name: value for name, value in key.public.to_jwk(kid=key.kid).items() if name != "alg"}
    host.overrides[KEYS] = as_json({"keys": [member]})
    assert any("alg" in problem for problem in host.check(key.public).problems)


@pytest.mark.spec("#self-hosted-jwks-key-compromise")
def test_a_published_private_key_raises_the_alarm(host: StaticHost, key: SigningKey) -> None:
    host.overrides[KEYS] = as_json({"keys": [key.public.to_jwk(kid=key.kid), SigningKey.generate().to_private_jwk()]})
    assert any("PRIVATE" in problem for problem in host.check(key).problems)


@pytest.mark.spec("#metadata-documents")
def test_a_wrong_content_type_is_a_note_only(host: StaticHost, key: SigningKey) -> None:
    host.content_type = "text/plain"
    found = host.check(key)
    assert found.ok
    assert len(found.notes) == 2
