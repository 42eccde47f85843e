from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aauthlib.errors import IssuerMismatch, IssuerMissing, UnknownKey
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

ISSUER = "https://server.example"
CLASSES: list[type[Metadata]] = [AgentProviderMetadata, PersonServerMetadata, AccessServerMetadata, ResourceMetadata]
ALL = pytest.mark.parametrize("cls", CLASSES)
ENDPOINTS = [(cls, name) for cls in CLASSES for name in cls.endpoints]
DISPLAY = ["name", "description", "logo_uri", "logo_dark_uri", "documentation_uri", "tos_uri", "policy_uri"]


def document(cls: type[Metadata], **members: Any) -> dict[str, Any]:
    """What a conforming server of that role publishes, with `members` set."""
    endpoints = {name: f"{ISSUER}/{name}" for name in ("auth_token_endpoint", "person_token_endpoint")}
    return {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks.json", **endpoints, **members}


def read(cls: type[Metadata], **members: Any) -> Metadata:
    return read_metadata(cls, document(cls, **members), issuer=ISSUER)


@ALL
@pytest.mark.spec("#metadata-documents")
def test_a_document_is_read_and_unknown_members_are_ignored(cls: type[Metadata]) -> None:
    metadata = read(cls, name="Example", novelty={"a": [1]})

    assert (metadata.issuer, metadata.name) == (ISSUER, "Example")


@pytest.mark.spec("#agent-provider-metadata", "#ps-metadata", "#access-server-metadata", "#resource-metadata")
def test_each_document_stands_at_its_own_well_known_url() -> None:
    assert [well_known_url(ISSUER, cls.dwk) for cls in CLASSES] == [
        f"{ISSUER}/.well-known/aauth-{role}.json" for role in ("agent", "person", "access", "resource")
    ]


@ALL
@pytest.mark.parametrize("issuer", [None, 7, [ISSUER]])
@pytest.mark.spec("#metadata-documents")
def test_a_document_without_an_issuer_is_refused(cls: type[Metadata], issuer: Any) -> None:
    without = {name: value for name, value in document(cls).items() if name != "issuer"}

    with pytest.raises(IssuerMissing):
        read_metadata(cls, without, issuer=ISSUER)
    with pytest.raises(IssuerMissing):
        read(cls, issuer=issuer)


@ALL
@pytest.mark.parametrize("issuer", ["https://evil.example", ISSUER + "/", "HTTPS://server.example", ISSUER.upper(), ""])
@pytest.mark.spec("#metadata-documents")
def test_a_document_that_names_another_issuer_is_refused_byte_for_byte(cls: type[Metadata], issuer: str) -> None:
    with pytest.raises(IssuerMismatch):
        read(cls, issuer=issuer)


@pytest.mark.parametrize(("cls", "name"), ENDPOINTS)
@pytest.mark.parametrize(
    "url",
    [
        "http://server.example/x", "https://server.example/x?a=1", "https://server.example/x#f", "server.example/x", "",
        "https://user@server.example/x", "javascript:alert(1)", "https://127.0.0.1/x", "https://server.example/a b",
        "http://server.localhost:8000/x",
    ],
)  # fmt: skip
@pytest.mark.spec("#endpoint-and-other-urls")
def test_an_endpoint_that_breaks_its_rule_makes_the_document_unusable(cls: type[Metadata], name: str, url: str) -> None:
    with pytest.raises(UnknownKey, match=name):
        read(cls, **{name: url})


@pytest.mark.parametrize(("cls", "name"), ENDPOINTS)
@pytest.mark.spec("#endpoint-and-other-urls")
def test_an_endpoint_may_be_on_another_host_or_port(cls: type[Metadata], name: str) -> None:
    url = "https://api.elsewhere.example:8443/x"

    assert getattr(read(cls, **{name: url}), name) == url


@ALL
@pytest.mark.parametrize("url", ["http://server.example/jwks", "server.example", "https://server.example/#x", ""])
@pytest.mark.spec("#endpoint-and-other-urls")
def test_a_jwks_uri_must_use_https(cls: type[Metadata], url: str) -> None:
    with pytest.raises(UnknownKey, match="jwks_uri"):
        read(cls, jwks_uri=url)


@ALL
@pytest.mark.spec("#endpoint-and-other-urls")
def test_a_jwks_uri_may_have_a_query(cls: type[Metadata]) -> None:
    assert read(cls, jwks_uri="https://cdn.example/jwks?v=1").jwks_uri == "https://cdn.example/jwks?v=1"


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (PersonServerMetadata, "auth_token_endpoint"),
        (PersonServerMetadata, "person_token_endpoint"),
        (AccessServerMetadata, "auth_token_endpoint"),
    ],
)
@pytest.mark.spec("#ps-metadata", "#access-server-metadata")
def test_a_server_without_its_required_endpoint_cannot_be_spoken_to(cls: type[Metadata], name: str) -> None:
    without = {other: value for other, value in document(cls).items() if other != name}

    with pytest.raises(UnknownKey, match=name):
        read_metadata(cls, without, issuer=ISSUER)


@ALL
@pytest.mark.parametrize("name", [name for name in DISPLAY if name.endswith("_uri")])
@pytest.mark.parametrize(
    "url", ["http://server.example/l.png", "javascript:alert(1)", "data:image/png,x", "/l.png", ""]
)
@pytest.mark.spec("#metadata-documents", "#untrusted-input")
def test_a_display_url_that_breaks_its_rule_is_dropped_and_stops_nothing(
    cls: type[Metadata], name: str, url: str
) -> None:
    metadata = read(cls, **{name: url, "name": "Example"})

    assert getattr(metadata, name) is None
    assert metadata.name == "Example"


@ALL
@pytest.mark.parametrize("name", DISPLAY)
@pytest.mark.parametrize("value", [None, 7, [], {"en": "x"}])
@pytest.mark.spec("#metadata-documents")
def test_what_is_only_shown_stops_nothing_when_it_is_of_another_type(
    cls: type[Metadata], name: str, value: Any
) -> None:
    assert getattr(read(cls, **{name: value}), name) is None


@ALL
@pytest.mark.parametrize("value", [7, [], {}])
@pytest.mark.spec("#metadata-documents")
def test_a_member_that_is_acted_on_must_have_its_type(cls: type[Metadata], value: Any) -> None:
    with pytest.raises(UnknownKey):
        read(cls, jwks_uri=value)


@pytest.mark.spec("#server-identifiers")
def test_localhost_is_taken_in_the_development_profile_only() -> None:
    issuer = "http://ps.localhost:8000"
    members = {"issuer": issuer, "jwks_uri": f"{issuer}/jwks", "callback_endpoint": f"{issuer}/callback"}

    assert read_metadata(AgentProviderMetadata, members, issuer=issuer, dev=True).jwks_uri == f"{issuer}/jwks"
    with pytest.raises(UnknownKey):
        read_metadata(AgentProviderMetadata, members, issuer=issuer)


@ALL
@pytest.mark.spec("#metadata-documents")
def test_what_is_published_can_be_read_and_has_no_empty_members(cls: type[Metadata]) -> None:
    metadata = read(cls, name="Example")

    published = dump_metadata(metadata)

    assert None not in published.values()
    assert read_metadata(cls, published, issuer=ISSUER) == metadata


@pytest.mark.spec("#agent-provider-metadata")
def test_localhost_callbacks_are_not_allowed_unless_it_is_said() -> None:
    document = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks.json"}
    assert read_metadata(AgentProviderMetadata, document, issuer=ISSUER).localhost_callback_allowed is False
    with pytest.raises(UnknownKey):
        read(AgentProviderMetadata, localhost_callback_allowed="true")


@ALL
@pytest.mark.spec("#endpoint-and-other-urls")
def test_every_member_that_is_an_endpoint_is_held_to_the_rule_of_endpoints(cls: type[Metadata]) -> None:
    members = {name for name in cls.__struct_fields__ if name.endswith("_endpoint")}

    assert members == set(cls.endpoints)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@ALL
@given(data=st.data())
@pytest.mark.spec("#untrusted-input")
def test_whatever_a_document_says_it_is_read_or_refused(cls: type[Metadata], data: st.DataObject) -> None:
    members = data.draw(st.dictionaries(st.sampled_from([*cls.__struct_fields__, "other"]), _JSON, max_size=5))

    try:
        read_metadata(cls, {**document(cls), **members}, issuer=ISSUER)
    except (IssuerMissing, IssuerMismatch, UnknownKey) as error:
        assert str(error)


@pytest.mark.spec("#ps-metadata", "#agent-provider-metadata", "#resource-metadata")
def test_only_a_resource_may_leave_out_where_its_keys_are():
    issuer = "https://server.example"
    endpoints = {
        "auth_token_endpoint": f"{issuer}/auth",
        "person_token_endpoint": f"{issuer}/person",
    }
    assert read_metadata(ResourceMetadata, {"issuer": issuer}, issuer=issuer).jwks_uri is None
    for cls in (PersonServerMetadata, AgentProviderMetadata, AccessServerMetadata):
        with pytest.raises(UnknownKey, match="jwks_uri"):
            read_metadata(cls, {"issuer": issuer, **endpoints}, issuer=issuer)
