"""The grammar of identifiers and URLs: what is accepted is returned unchanged, everything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.errors import InvalidIdentifier
from aauthlib.identifiers import (
    AgentIdentifier,
    callback_url,
    endpoint_url,
    https_url,
    is_development_host,
    origin_of,
    server_identifier,
)

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
HOST = st.lists(LABEL, min_size=1, max_size=3).map(lambda labels: ".".join([*labels, "example"]))
LOCAL = st.from_regex(r"[A-Za-z0-9\-_+.]{1,60}", fullmatch=True)


@pytest.mark.spec("#server-identifiers")
@given(HOST)
def test_a_lowercase_https_host_is_a_server_identifier_as_it_stands(host: str) -> None:
    assert server_identifier(f"https://{host}") == f"https://{host}"


@pytest.mark.spec("#server-identifiers")
@pytest.mark.parametrize(
    "value",
    [
        "",
        "agent.example",
        "http://agent.example",
        "https://Agent.Example",
        "https://agent.example:8443",
        "https://agent.example:443",
        "https://agent.example/v1",
        "https://agent.example/",
        "https://agent.example?x",
        "https://agent.example#x",
        "https://user@agent.example",
        "https://user:pw@agent.example",
        "https://",
        "https://.example",
        "https://agent..example",
        "https://agent.example.",
        "https://-agent.example",
        "https://agent-.example",
        "https://agent_1.example",
        "https://agent.example\n",
        " https://agent.example",
        "https://agent.example%2f",
        "https://agent.example\\evil",
        "https://ägent.example",
        "https://xn--nxasmq6b.example/",
        "https://127.0.0.1",
        "https://10.1",
        "https://2130706433",
        "https://0x7f000001",
        "https://127.0.0x1",
        "https://[::1]",
        "HTTPS://agent.example",
        "https:agent.example",
        "https:///agent.example",
        "https://" + "a" * 64 + ".example",
        "https://" + ".".join(["a" * 60] * 5),
        "https://" + "a." * 2000 + "example",
    ],
)
def test_anything_else_is_refused_as_a_server_identifier(value: str) -> None:
    with pytest.raises(InvalidIdentifier):
        server_identifier(value)
    with pytest.raises(InvalidIdentifier):
        server_identifier(value, dev=True)


@pytest.mark.spec("#server-identifiers")
def test_an_internationalized_name_is_accepted_in_ascii_form() -> None:
    assert server_identifier("https://xn--nxasmq6b.example")


@pytest.mark.spec("#server-identifiers")
@pytest.mark.parametrize(
    "value", ["http://ap.localhost:4001", "https://localhost", "http://a.b.localhost", "http://localhost:1"]
)
def test_localhost_is_accepted_only_in_the_development_profile(value: str) -> None:
    assert server_identifier(value, dev=True) == value
    with pytest.raises(InvalidIdentifier):
        server_identifier(value)


@pytest.mark.spec("#server-identifiers")
@pytest.mark.parametrize(
    "value",
    [
        "http://agent.example",
        "http://agent.example:80",
        "https://agent.example:8443",
        "http://localhost.example",
        "http://notlocalhost:80",
        "http://127.0.0.1:4000",
        "http://localhost:0",
        "http://localhost:65536",
        "http://localhost:080",
        "http://localhost:",
        "http://localhost:80/",
        "http://Localhost",
    ],
)
def test_the_development_profile_opens_nothing_else(value: str) -> None:
    with pytest.raises(InvalidIdentifier):
        server_identifier(value, dev=True)


def test_only_localhost_and_names_below_it_are_development_hosts() -> None:
    assert is_development_host("localhost")
    assert is_development_host("a.localhost")
    assert not is_development_host("alocalhost")
    assert not is_development_host("localhost.example")


@pytest.mark.spec("#endpoint-and-other-urls")
@pytest.mark.parametrize(
    "value",
    ["https://ps.example/token", "https://ps.example", "https://ps.example:8443/a/b;c=1", "https://ps.example/%2F"],
)
def test_an_endpoint_url_may_have_a_path_and_a_port(value: str) -> None:
    assert endpoint_url(value) == value


@pytest.mark.spec("#endpoint-and-other-urls")
@pytest.mark.parametrize(
    "value",
    [
        "http://ps.example/token",
        "https://ps.example/token#x",
        "https://ps.example/token?x=1",
        "https://ps.example/token?",
        "https://ps.example/to ken",
        "https://ps.example/tök",
        "https://user@ps.example/token",
        "https://ps.example\\@evil.example/",
        "https://10.0.0.1/token",
        "https://ps.example:0/token",
        "https://ps.example:/token",
        "javascript:alert(1)",
        "/token",
        "https://ps.example/\r\nx: y",
        "https://ps.example/<script>",
        "https://ps.example/" + "a" * 2048,
    ],
)
def test_an_endpoint_url_breaking_a_rule_is_refused(value: str) -> None:
    with pytest.raises(InvalidIdentifier):
        endpoint_url(value)


@pytest.mark.spec("#endpoint-and-other-urls")
def test_other_urls_may_have_a_query_and_no_fragment() -> None:
    assert https_url("https://cdn.example/logo.png?v=2") == "https://cdn.example/logo.png?v=2"
    with pytest.raises(InvalidIdentifier):
        https_url("https://cdn.example/logo.png#v2")


@pytest.mark.spec("#endpoint-and-other-urls")
def test_an_http_url_on_localhost_is_for_the_development_profile() -> None:
    assert https_url("http://ap.localhost:4001/x", dev=True)
    with pytest.raises(InvalidIdentifier, match="https"):
        https_url("http://ap.localhost:4001/x")


@pytest.mark.spec("#endpoint-and-other-urls", "#user-interaction")
@pytest.mark.parametrize(
    "value", ["http://localhost", "http://localhost:8123/cb?x=1", "http://127.0.0.1:5/", "http://127.0.0.1?x"]
)
def test_a_localhost_callback_needs_the_providers_permission(value: str) -> None:
    assert callback_url(value, localhost_allowed=True) == value
    with pytest.raises(InvalidIdentifier):
        callback_url(value)


@pytest.mark.spec("#endpoint-and-other-urls")
@pytest.mark.parametrize(
    "value",
    [
        "http://localhost.evil.example/",
        "http://localhost@evil.example/",
        "http://127.0.0.1.evil.example/",
        "http://127.0.0.1:80@evil.example/",
        "http://localhost:99999/",
        "http://localhost:65536/",
        "http://localhost:/x",
        "http://localhost/#x",
        "http://localhost/a b",
        "http://127.0.0.2/",
        "http://agent.example/cb",
        "http://localhost\\evil",
    ],
)
def test_permission_for_localhost_is_for_localhost_only(value: str) -> None:
    with pytest.raises(InvalidIdentifier):
        callback_url(value, localhost_allowed=True)


def test_an_https_callback_is_always_allowed() -> None:
    assert callback_url("https://agent.example/cb") == "https://agent.example/cb"


def test_the_origin_is_scheme_and_authority_as_written() -> None:
    assert origin_of("https://A.example:443/x?y#z") == "https://A.example:443"
    assert origin_of("https://a.example?x") == "https://a.example"
    with pytest.raises(InvalidIdentifier):
        origin_of("/relative")


@pytest.mark.spec("#agent-identifiers")
@given(LOCAL, HOST)
def test_an_agent_identifier_reads_and_writes_the_same(local: str, host: str) -> None:
    value = f"aauth:{local}@{host}"
    parsed = AgentIdentifier.parse(value)
    assert (parsed.local, parsed.domain, str(parsed)) == (local, host, value)
    assert parsed.is_under(f"https://{host}")


@pytest.mark.spec("#agent-identifiers")
@pytest.mark.parametrize(
    "value",
    [
        "",
        "assistant@agent.example",
        "AAUTH:a@agent.example",
        "aauth:@agent.example",
        "aauth:a@",
        "aauth:a",
        "aauth:my agent@agent.example",
        "aauth:a@http://agent.example",
        "aauth:a@https://agent.example",
        "aauth:a@agent.example/x",
        "aauth:a@agent.example:8443",
        "aauth:a@Agent.example",
        "aauth:a@b@agent.example",
        "aauth:ä@agent.example",
        "aauth:a/b@agent.example",
        "aauth:a@agent.example\n",
        "aauth:a\n@agent.example",
        "aauth:" + "a" * 256 + "@agent.example",
        "aauth:a@127.0.0.1",
    ],
)
def test_a_malformed_agent_identifier_is_refused(value: str) -> None:
    with pytest.raises(InvalidIdentifier):
        AgentIdentifier.parse(value)


@pytest.mark.spec("#agent-identifiers")
def test_agent_identifiers_are_compared_exactly() -> None:
    assert AgentIdentifier.parse("aauth:A@agent.example") != AgentIdentifier.parse("aauth:a@agent.example")


@pytest.mark.spec("#agent-identifiers")
def test_an_identifier_of_another_host_is_not_under_a_provider() -> None:
    agent = AgentIdentifier.parse("aauth:a@agent.example")
    assert not agent.is_under("https://sub.agent.example")
    assert not agent.is_under("https://evil.example")
    assert not agent.is_under("https://agent.example:8443")


@pytest.mark.spec("#agent-identifiers")
def test_in_development_the_port_of_the_provider_may_be_left_out() -> None:
    agent = AgentIdentifier.parse("aauth:a@ap.localhost", dev=True)
    assert agent.is_under("http://ap.localhost:4001")
    assert AgentIdentifier.parse("aauth:a@ap.localhost:4001", dev=True).is_under("http://ap.localhost:4001")
    assert not AgentIdentifier.parse("aauth:a@ap.localhost:4002", dev=True).is_under("http://ap.localhost:4001")


@pytest.mark.spec("#sub-agent-identity", "#single-level-depth")
def test_a_sub_agents_local_part_is_its_parents_a_plus_and_a_discriminator() -> None:
    parent = AgentIdentifier.parse("aauth:planner.7f3c@vendor.example")
    child = parent.sub_agent("search1")
    assert str(child) == "aauth:planner.7f3c+search1@vendor.example"
    with pytest.raises(InvalidIdentifier, match="one level"):
        child.sub_agent("deeper")


@pytest.mark.spec("#sub-agent-identity")
@pytest.mark.parametrize("discriminator", ["", "a+b", "a b", "a@b", "\n", "x" * 250])
def test_a_discriminator_keeps_to_the_grammar(discriminator: str) -> None:
    with pytest.raises(InvalidIdentifier):
        AgentIdentifier.parse("aauth:planner@vendor.example").sub_agent(discriminator)


@pytest.mark.spec("#untrusted-input")
@given(st.text(max_size=80), st.booleans())
def test_no_text_makes_a_parser_fail_otherwise_than_with_invalid_identifier(value: str, dev: bool) -> None:
    for text in (
        value,
        f"https://{value}",
        f"aauth:a@{value}",
        f"aauth:{value}@agent.example",
        f"http://localhost{value}",
    ):
        for parse in (
            lambda v: server_identifier(v, dev=dev),
            lambda v: endpoint_url(v, dev=dev),
            lambda v: callback_url(v, dev=dev, localhost_allowed=True),
            lambda v: str(AgentIdentifier.parse(v, dev=dev)),
        ):
            try:
                assert parse(text) == text
            except InvalidIdentifier as error:
                assert error.detail
