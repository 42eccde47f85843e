"""Agent tokens from the agent itself and from a provider, and what a provider that errs does not get away with."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import msgspec
import pytest

from aauthlib.agent import Credential, EnrolmentFailed, SelfIssued, enroll
from aauthlib.agent.provider_client import Enrolled
from aauthlib.errors import ClockSkew, InvalidIdentifier, InvalidSignature, SignatureError
from aauthlib.http import Request, Response, json_response
from aauthlib.keys import PublicKey, SigningKey
from aauthlib.messages.problems import error_response
from aauthlib.tokens import AgentToken, issue_agent_token
from aauthlib.verification import Caller
from tests.agent.world import NOW, PS, World, claims_of, problem, resigned

PROVIDER = "https://provider.example"


class Provider:
    """An agent provider on paper."""

    def __init__(self, world: World, **metadata: Any) -> None:
        self.world, self.key = world, SigningKey.generate(kid="ap1")
        self.endpoints = {
            name: f"{PROVIDER}/{name}" for name in ("enrollment_endpoint", "refresh_endpoint", "subagent_endpoint")
        }
        world.publish(PROVIDER, self.key, **{**self.endpoints, **metadata})
        world.servers[PROVIDER] = self.handle
        self.calls: list[tuple[str, dict[str, Any], Caller]] = []
        self.claims: dict[str, Any] = {}
        self.answer: Callable[[Response], Response] = lambda response: response

    def handle(self, request: Request) -> Response:
        try:
            caller = self.world.caller(request, schemes=("hwk", "jwt", "jkt-jwt"), cover_body=True)
        except SignatureError as error:
            return error_response(error)
        body = msgspec.json.decode(request.body)
        endpoint = request.path.removeprefix("/")
        self.calls.append((endpoint, body, caller))
        key, sub, parent = caller.key, "aauth:install-7@provider.example", None
        if endpoint == "subagent_endpoint":
            key, parent = PublicKey.from_jwk(body["jwk"]), sub
            sub = f"aauth:install-7+{body['discriminator']}@provider.example"
        assert key is not None
        text = issue_agent_token(
            self.key,
            iss=PROVIDER,
            sub=sub,
            cnf=key,
            jti=f"at{len(self.calls)}",
            now=self.world.now,
            ps=body.get("ps"),
            parent_agent=parent,
        )
        if self.claims:
            text = resigned(text, self.key, **self.claims)
        return self.answer(json_response(200, {"agent": sub, "agent_token": text, "expires_in": 3600}))


@pytest.fixture
def provider(world: World) -> Provider:
    return Provider(world)


@pytest.fixture
def durable() -> SigningKey:
    return SigningKey.generate()


def enrolled(world: World, durable: SigningKey, **options: Any) -> tuple[Enrolled, Credential]:
    return world.drive(enroll(PROVIDER, durable, clock=world.clock, **options))


def token_of(credential: Credential) -> AgentToken:
    assert isinstance(credential.token, AgentToken)
    return credential.token


# --------------------------------------------------------------------------- self-hosted


@pytest.mark.spec("#agent-token-structure")
def test_a_self_hosted_agent_signs_its_own_token_with_the_key_it_publishes(world: World) -> None:
    key = SigningKey.generate(kid="k1")
    source = SelfIssued("https://me.example", "aauth:me@me.example", key, world.clock, ps=PS)
    credential = world.drive(source.obtain())
    token = token_of(credential)
    assert credential.key == key
    assert (token.iss, token.sub, token.ps) == ("https://me.example", "aauth:me@me.example", PS)
    assert token.cnf == key.public and token.exp == NOW + 3600


@pytest.mark.spec("#sub-agents")
def test_a_self_hosted_agent_issues_to_its_sub_agents(world: World) -> None:
    source = SelfIssued("https://me.example", "aauth:me@me.example", SigningKey.generate(), world.clock)
    key = SigningKey.generate()
    child = token_of(world.drive(source.spawn(world.drive(source.obtain()), "search1", key)))
    assert (child.sub, child.parent_agent) == ("aauth:me+search1@me.example", "aauth:me@me.example")
    assert child.cnf == key.public
    with pytest.raises(InvalidIdentifier):
        world.drive(source.spawn(world.drive(source.obtain()), "a+b", key))


# --------------------------------------------------------------------------- enrolment and refresh


@pytest.mark.spec("#agent-token-acquisition-overview")
def test_enrolment_is_signed_by_the_durable_key_and_followed_by_a_refresh_under_an_ephemeral_one(
    world: World, provider: Provider, durable: SigningKey
) -> None:
    source, credential = enrolled(world, durable, ps=PS, label="Ada's laptop")
    (enrolment, body, caller), (refresh, _, refresher) = provider.calls
    assert (enrolment, refresh) == ("enrollment_endpoint", "refresh_endpoint")
    assert body == {"ps": PS, "label": "Ada's laptop"}
    assert caller.key == durable.public and caller.delegation is None
    assert refresher.delegation is not None and refresher.delegation.durable == durable.public
    assert credential.key is not None and credential.key != durable
    assert source.agent == token_of(credential).sub == "aauth:install-7@provider.example"


@pytest.mark.spec("#agent-token-acquisition-overview")
def test_every_two_key_refresh_has_a_key_of_its_own(world: World, provider: Provider, durable: SigningKey) -> None:
    source, first = enrolled(world, durable)
    second = world.drive(source.obtain())
    assert first.key is not None and second.key is not None
    assert len({durable.thumbprint, first.key.thumbprint, second.key.thumbprint}) == 3


@pytest.mark.spec("#agent-token-acquisition-overview")
def test_in_single_key_mode_the_durable_key_signs_everything(
    world: World, provider: Provider, durable: SigningKey
) -> None:
    source, credential = enrolled(world, durable, mode="single-key", invitation="welcome")
    assert credential.key == durable
    assert provider.calls[0][1] == {"ps": None, "label": None, "invitation": "welcome"}
    again = world.drive(source.obtain())
    assert again.key == durable
    assert [call for call, *_ in provider.calls] == ["enrollment_endpoint", "refresh_endpoint"]


@pytest.mark.spec("#sub-agents")
def test_a_sub_agent_token_is_asked_for_by_the_parent_and_bound_to_the_childs_key(
    world: World, provider: Provider, durable: SigningKey
) -> None:
    source, parent = enrolled(world, durable)
    key = SigningKey.generate()
    child = token_of(world.drive(source.spawn(parent, "search1", key)))
    assert child.cnf == key.public and child.parent_agent == source.agent
    _, body, caller = provider.calls[-1]
    assert body == {"discriminator": "search1", "jwk": key.public.to_jwk()}
    assert caller.agent_token == parent.token


@pytest.mark.spec("#sub-agents")
@pytest.mark.parametrize(
    "claims",
    [{"parent_agent": None}, {"parent_agent": "aauth:other@provider.example"}, {"sub": "aauth:x@provider.example"}],
)
def test_a_sub_agent_token_for_another_family_is_refused(
    world: World, provider: Provider, durable: SigningKey, claims: dict[str, Any]
) -> None:
    source, parent = enrolled(world, durable)
    provider.claims = claims
    with pytest.raises(EnrolmentFailed):
        world.drive(source.spawn(parent, "search1", SigningKey.generate()))


@pytest.mark.spec("#agent-token-verification")
@pytest.mark.parametrize(
    ("claims", "match"),
    [
        ({"cnf": {"jwk": SigningKey.generate().public.to_jwk()}}, "for another key"),
        ({"sub": "aauth:somebody@provider.example"}, "for another agent"),
        ({"exp": int(NOW)}, "expired"),
        ({"sub": "aauth:x@evil.example"}, "another agent provider"),
        ({"dwk": "aauth-person.json"}, "dwk"),
    ],
)
def test_an_agent_token_that_does_not_fit_is_refused(
    world: World, provider: Provider, durable: SigningKey, claims: dict[str, Any], match: str
) -> None:
    source, _ = enrolled(world, durable)
    provider.claims = claims
    with pytest.raises(EnrolmentFailed, match=match):
        world.drive(source.obtain())


@pytest.mark.spec("#agent-token-verification")
def test_an_agent_token_of_another_provider_is_refused(world: World, provider: Provider, durable: SigningKey) -> None:
    source, _ = enrolled(world, durable)
    world.publish("https://evil.example", provider.key)
    provider.claims = {"iss": "https://evil.example", "sub": "aauth:install-7@evil.example"}
    with pytest.raises(EnrolmentFailed, match="from another provider"):
        world.drive(source.obtain())


@pytest.mark.spec("#error-response-format")
def test_a_refusal_of_the_provider_is_told_in_its_words(world: World, provider: Provider, durable: SigningKey) -> None:
    provider.answer = lambda response: json_response(403, {"error": "denied", "detail": "An invitation is needed."})
    with pytest.raises(EnrolmentFailed, match=r"provider.example gives this agent no token. An invitation is needed"):
        enrolled(world, durable)


@pytest.mark.spec("#error-response-format")
@pytest.mark.parametrize(
    "answer", [Response(200), json_response(200, []), json_response(200, {"agent": 7}), problem(500, "server_error")]
)
def test_an_answer_without_a_token_is_an_error(
    world: World, provider: Provider, durable: SigningKey, answer: Response
) -> None:
    provider.answer = lambda response: answer
    with pytest.raises(EnrolmentFailed):
        enrolled(world, durable)


@pytest.mark.spec("#agent-provider-metadata")
@pytest.mark.parametrize("missing", ["enrollment_endpoint", "refresh_endpoint", "subagent_endpoint"])
def test_a_provider_without_an_endpoint_is_named(world: World, durable: SigningKey, missing: str) -> None:
    whole = Provider(world)
    source, parent = enrolled(world, durable)
    whole.endpoints.pop(missing)
    world.publish(PROVIDER, whole.key, **whole.endpoints)
    flows: dict[str, Callable[[], object]] = {
        "enrollment_endpoint": lambda: enrolled(world, durable),
        "refresh_endpoint": lambda: world.drive(source.obtain()),
        "subagent_endpoint": lambda: world.drive(source.spawn(parent, "s", SigningKey.generate())),
    }
    with pytest.raises(EnrolmentFailed, match=PROVIDER):
        flows[missing]()


@pytest.mark.spec("#authentication-errors")
def test_the_providers_clock_is_taken_once(world: World, provider: Provider, durable: SigningKey) -> None:
    honest, dates = provider.handle, [NOW]

    def handle(request: Request) -> Response:
        response = honest(request)
        return Response(
            response.status, response.headers.added([("date", formatdate(dates[0], usegmt=True))]), response.body
        )

    world.servers[PROVIDER] = handle
    source = Enrolled(PROVIDER, None, durable, lambda: NOW + 900)
    assert token_of(world.drive(source.enroll())).iat == NOW
    provider.answer = lambda response: error_response(ClockSkew())
    sent = len(world.sent)
    with pytest.raises(EnrolmentFailed):
        world.drive(source.obtain())
    assert len(world.sent) == sent + 2


def test_no_key_or_token_is_shown(world: World, provider: Provider, durable: SigningKey) -> None:
    source, credential = enrolled(world, durable)
    shown = repr(source) + repr(credential) + repr(credential.token)
    private = durable.to_private_jwk()
    assert private["d"] not in shown and credential.token is not None
    assert credential.token.raw not in shown
    assert claims_of(credential.token.raw)["jti"] in repr(credential.token)


@pytest.mark.spec("#freshness-and-replay", "#single-key-refresh")
def test_a_refresh_that_looks_like_a_replay_is_signed_again_a_second_later(
    world: World, provider: Provider, durable: SigningKey
) -> None:
    source, _ = enrolled(world, durable, mode="single-key")
    provider.calls.clear()
    refused = [error_response(InvalidSignature("This very request was received before."))]
    provider.answer = lambda response: refused.pop() if refused else response
    sent = len(world.sent)

    credential = world.drive(source.obtain())

    assert credential.key == durable
    assert [call[0] for call in provider.calls] == ["refresh_endpoint"] * 2
    first, second = (request.headers.get("signature-input") for request in world.sent[sent:][-2:])
    assert first != second
    assert world.slept[-1] == 1.0


@pytest.mark.spec("#freshness-and-replay", "#authentication-errors")
def test_what_looks_like_a_replay_by_the_providers_clock_is_signed_again_too(
    world: World, provider: Provider, durable: SigningKey
) -> None:
    source, _ = enrolled(world, durable, mode="single-key")
    honest, refused = provider.handle, [InvalidSignature("Stale."), InvalidSignature("Received before.")]

    def handle(request: Request) -> Response:
        if not request.url.endswith("/refresh_endpoint") or not refused:
            return honest(request)
        response = error_response(refused.pop(0))
        date = ("date", formatdate(NOW + 10, usegmt=True))
        return Response(response.status, response.headers.added([date]), response.body)

    world.servers[PROVIDER] = handle
    sent = len(world.sent)
    world.drive(source.obtain())
    inputs = [request.headers.get("signature-input") or "" for request in world.sent[sent:]]
    created = [int(each.partition("created=")[2].split(";")[0]) for each in inputs if "created=" in each]
    assert created == [NOW, NOW + 10, NOW + 11]


@pytest.mark.spec("#freshness-and-replay")
def test_a_request_that_is_refused_again_is_not_sent_for_ever(
    world: World, provider: Provider, durable: SigningKey
) -> None:
    source, _ = enrolled(world, durable, mode="single-key")
    provider.calls.clear()
    provider.answer = lambda response: error_response(InvalidSignature("The signature does not verify."))

    with pytest.raises(EnrolmentFailed, match="does not verify"):
        world.drive(source.obtain())

    assert len(provider.calls) == 2
