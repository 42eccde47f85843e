"""The four metadata documents: what the fetching party must check, and what must not stop it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.errors import AAuthError, IssuerMismatch, IssuerMissing, UnknownKey
from aauthlib.messages.metadata import (
    AccessServerMetadata,
    AgentProviderMetadata,
    Metadata,
    PersonServerMetadata,
    ResourceMetadata,
    dump_metadata,
    read_metadata,
    well_known_url,
)

PS = "https://ps.example"
#: Required members beyond `issuer`, and every endpoint, per document.
REQUIRED: dict[type[Metadata], set[str]] = {
    AgentProviderMetadata: set(),
    PersonServerMetadata: {"auth_token_endpoint", "person_token_endpoint"},
    AccessServerMetadata: {"auth_token_endpoint"},
    ResourceMetadata: set(),
}
KINDS = pytest.mark.parametrize("kind", REQUIRED, ids=lambda kind: kind.__name__)


def document(kind: type[Metadata], **members: Any) -> dict[str, Any]:
    return {"issuer": PS, "jwks_uri": f"{PS}/jwks", **{name: f"{PS}/{name}" for name in REQUIRED[kind]}, **members}


@KINDS
@pytest.mark.spec(
    "#metadata-documents", "#ps-metadata", "#access-server-metadata", "#resource-metadata", "#agent-provider-metadata"
)
def test_a_document_reads_as_it_was_written(kind: type[Metadata]) -> None:
    members = document(
        kind,
        name="Ex",
        description="**Ex**",
        logo_uri="https://cdn.example/l.png",
        accept_signature_algs=[
            "Ed25519",
        ],
    )
    read = read_metadata(kind, members, issuer=PS)
    assert dump_metadata(read) == members
    assert read_metadata(kind, dump_metadata(read), issuer=PS) == read


@pytest.mark.spec("#metadata-documents")
def test_the_well_known_names() -> None:
    assert [kind.dwk for kind in REQUIRED] == [
        "aauth-agent.json", "aauth-person.json", "aauth-access.json", "aauth-resource.json",
    ]  # fmt: skip
    assert well_known_url(PS, PersonServerMetadata.dwk) == "https://ps.example/.well-known/aauth-person.json"


@KINDS
@pytest.mark.spec("#metadata-documents")
@pytest.mark.parametrize("issuer", [None, 5, ["https://ps.example"]])
def test_a_document_without_issuer_is_refused(kind: type[Metadata], issuer: object) -> None:
    members = {name: value for name, value in document(kind, issuer=issuer).items() if value is not None}
    with pytest.raises(IssuerMissing):
        read_metadata(kind, members, issuer=PS)


@KINDS
@pytest.mark.spec("#metadata-documents")
@pytest.mark.parametrize(
    "issuer",
    [
        "https://evil.example",
        "https://ps.example/",
        "https://PS.example",
        "http://ps.example",
        "",
    ],
)
def test_a_document_that_names_another_issuer_is_refused_byte_for_byte(kind: type[Metadata], issuer: str) -> None:
    with pytest.raises(IssuerMismatch):
        read_metadata(kind, document(kind, issuer=issuer), issuer=PS)


@KINDS
@pytest.mark.spec("#ps-metadata", "#access-server-metadata")
def test_required_endpoints_are_required(kind: type[Metadata]) -> None:
    for name in REQUIRED[kind]:
        members = document(kind)
        del members[name]
        with pytest.raises(UnknownKey, match=name):
            read_metadata(kind, members, issuer=PS)


@KINDS
@pytest.mark.spec("#endpoint-and-other-urls")
@pytest.mark.parametrize(
    "value",
    [
        "http://ps.example/x",
        "https://ps.example/x?y",
        "https://ps.example/x#y",
        "/x",
        5,
        "javascript:alert(1)",
    ],
)
def test_every_endpoint_keeps_to_the_rules_of_endpoints(kind: type[Metadata], value: object) -> None:
    for name in kind.endpoints:
        with pytest.raises(UnknownKey):
            read_metadata(kind, document(kind, **{name: value}), issuer=PS)


@KINDS
@pytest.mark.spec("#endpoint-and-other-urls")
def test_every_member_that_is_an_endpoint_is_checked_as_one(kind: type[Metadata]) -> None:
    assert {name for name in kind.__struct_fields__ if name.endswith("_endpoint")} == set(kind.endpoints)


@KINDS
@pytest.mark.spec("#endpoint-and-other-urls")
def test_the_key_set_is_at_an_https_url(kind: type[Metadata]) -> None:
    assert read_metadata(kind, document(kind, jwks_uri=f"{PS}/k?v=1"), issuer=PS).jwks_uri == f"{PS}/k?v=1"
    with pytest.raises(UnknownKey):
        read_metadata(kind, document(kind, jwks_uri="http://ps.example/k"), issuer=PS)


@KINDS
@pytest.mark.spec("#endpoint-and-other-urls", "#untrusted-input")
@pytest.mark.parametrize(
    "name",
    [
        "logo_uri",
        "logo_dark_uri",
        "documentation_uri",
        "tos_uri",
        "policy_uri",
        "name",
        "description",
    ],
)
@pytest.mark.parametrize("value", ["javascript:alert(1)", "http://cdn.example/l.png", 5, [], {"a": 1}])
def test_a_display_member_that_breaks_its_rule_is_dropped(kind: type[Metadata], name: str, value: object) -> None:
    read = read_metadata(kind, document(kind, **{name: value}), issuer=PS)
    if isinstance(value, str) and name in ("name", "description"):
        assert getattr(read, name) == value
    else:
        assert getattr(read, name) is None


@KINDS
@pytest.mark.spec("#aauth-capabilities")
def test_unknown_members_are_ignored(kind: type[Metadata]) -> None:
    assert read_metadata(kind, document(kind, future={"x": 1}), issuer=PS) == read_metadata(
        kind, document(kind), issuer=PS
    )


@pytest.mark.spec("#endpoint-and-other-urls")
def test_localhost_is_for_the_development_profile() -> None:
    issuer = "http://ap.localhost:4001"
    members = {"issuer": issuer, "jwks_uri": f"{issuer}/jwks", "callback_endpoint": f"{issuer}/cb"}
    assert read_metadata(AgentProviderMetadata, members, issuer=issuer, dev=True).callback_endpoint == f"{issuer}/cb"
    with pytest.raises(UnknownKey):
        read_metadata(AgentProviderMetadata, members, issuer=issuer)


@pytest.mark.spec("#agent-provider-metadata")
def test_localhost_callbacks_are_off_unless_said_otherwise() -> None:
    assert (
        read_metadata(AgentProviderMetadata, document(AgentProviderMetadata), issuer=PS).localhost_callback_allowed
        is False
    )


@KINDS
@pytest.mark.spec("#untrusted-input")
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "issuer",
                "jwks_uri",
                "name",
                "logo_uri",
                "revocation_endpoint",
                "signature_window",
                "accept_signature_algs",
            ]
        ),
        st.none() | st.integers() | st.text(max_size=9) | st.lists(st.text(max_size=3), max_size=2) | st.just(PS),
        max_size=4,
    )
)
def test_no_document_makes_reading_fail_otherwise(kind: type[Metadata], members: dict[str, Any]) -> None:
    try:
        read_metadata(kind, document(kind, **members), issuer=PS)
    except AAuthError as error:
        assert error.detail
