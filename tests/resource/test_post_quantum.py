"""ML-DSA end to end: a resource set up for it, an agent token and a request signed with it, over real HTTP."""

from __future__ import annotations

import pytest

from aauthlib.cli.serving import free_port
from aauthlib.effects import Send
from aauthlib.errors import UnsupportedAlgorithm
from aauthlib.http import Request, Response
from aauthlib.httpsig import HWK, JWKSURI, JWT, SignaturePolicy, sign
from aauthlib.keys import ALGORITHMS, DEFAULT_ALGORITHMS, JWKS, SigningKey
from aauthlib.tokens import AgentToken, VerificationPolicy, issue_agent_token
from aauthlib.transport import SyncTransport
from aauthlib.verification import Level, authenticate
from tests.integrations.live import serve_asgi
from tests.resource.world import AGENT, AP, PS, World
from tests.tokens.minting import Issuers

pytestmark = pytest.mark.skipif("ML-DSA-65" not in ALGORITHMS, reason="this cryptography has no ML-DSA")
QUANTUM = ("ML-DSA-44", "ML-DSA-65", "ML-DSA-87")


def agent_token(issuer_key: SigningKey, key: SigningKey, now: float) -> str:
    return issue_agent_token(issuer_key, iss=AP, sub=AGENT, cnf=key.public, jti="j1", now=now, ps=PS)


@pytest.mark.spec("#signature-algorithms", "#verification")
@pytest.mark.parametrize("alg", QUANTUM)
def test_a_verifier_set_up_for_it_verifies_token_and_request(alg: str) -> None:
    issuer_key, key = SigningKey.generate(alg, kid="pq"), SigningKey.generate(alg)
    now = 1_800_000_000
    token = agent_token(issuer_key, key, now)
    request = sign(Request("GET", "https://api.example/agents"), key, JWT(token), created=now)
    issuers = Issuers(keys={(AP, "pq"): issuer_key.public})

    def caller(algorithms: tuple[str, ...]) -> Level:
        flow = authenticate(
            request,
            now=now,
            signature=SignaturePolicy(algorithms=algorithms),
            tokens=VerificationPolicy(algorithms=algorithms),
            accepted=(AgentToken,),
        )
        return issuers.run(flow).level

    assert caller((alg,)) is Level.IDENTIFIED
    assert len(token) < 16_384
    with pytest.raises(UnsupportedAlgorithm) as raised:
        caller(DEFAULT_ALGORITHMS)
    assert raised.value.accepted == DEFAULT_ALGORITHMS


@pytest.mark.spec("#signature-algorithms", "#jwks-discovery")
def test_old_and_new_agents_call_a_resource_over_http_while_the_issuer_publishes_both_keys() -> None:
    port = free_port()
    origin = f"http://api.localhost:{port}"
    classical, quantum = SigningKey.generate(kid="2026"), SigningKey.generate("ML-DSA-65", kid="2026-pq")
    world = World(issuer=origin, dev=True, algorithms=(*DEFAULT_ALGORITHMS, *QUANTUM))
    old = World(issuer=origin, dev=True)
    for each in (world, old):
        each.directory.publish(AP, JWKS.of(quantum, classical))
    now = world.clock()
    old_key, new_key = SigningKey.generate(), SigningKey.generate("ML-DSA-65")
    old_agent = (old_key, JWT(agent_token(classical, old_key, now)))
    new_agent = (new_key, JWT(agent_token(quantum, new_key, now)))
    largest = SigningKey.generate("ML-DSA-87")
    transport = SyncTransport(dev=True)

    def call(key: SigningKey, shown: JWT | HWK | JWKSURI, target: str = "/agents") -> Response:
        return transport.send(Send(sign(Request("GET", origin + target), key, shown, created=int(now))))

    with serve_asgi(world.asgi, port):
        assert call(*old_agent).status == 200
        assert call(*new_agent).status == 200
        assert [grant.agent for grant in world.app.grants] == [(AP, AGENT), (AP, AGENT)]
        # The greatest header the library makes: both keys and both signatures of ML-DSA-87.
        world.directory.publish(AP, JWKS.of(largest.public))
        assert call(largest, JWT(agent_token(largest, largest, now))).status == 200
        assert call(largest, HWK.of(largest.public), "/hello").status == 200
    with serve_asgi(old.asgi, port):
        assert call(*old_agent).status == 200
        refused = call(*new_agent)
        assert (refused.status, refused.headers.get("signature-error")) == (401, "error=unsupported_algorithm")
        assert refused.headers.get("accept-signature-alg") == "Ed25519, ES256"
    transport.close()
