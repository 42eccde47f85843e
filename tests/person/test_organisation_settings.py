"""The file with a person server's organisations: what it takes, and what it says of everything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from aauthlib.errors import ConfigurationError
from aauthlib.person.organisation_settings import read_organisations

WHOLE = """
[organisations.corp]
name = "Corp Ltd"
domains = ["corp.example", "corp.test"]

[organisations.corp.sign_in]
issuer = "https://login.corp.example/realms/one"
client_id = "person.example"
client_secret_env = "CORP_SECRET"
join = true

[organisations.lab]
name = "The Lab"
"""


def _read(tmp_path: Path, text: str):
    path = tmp_path / "organisations.toml"
    path.write_text(text)
    return read_organisations(path)


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    found = _read(tmp_path, WHOLE)
    assert sorted(found) == ["corp", "lab"]
    provider = found["corp"].sign_in
    assert provider is not None
    assert provider.join
    assert provider.secret({"CORP_SECRET": "s3cret"}) == "s3cret"
    with pytest.raises(ConfigurationError, match="CORP_SECRET is not set"):
        provider.secret({})
    assert found["lab"].sign_in is None


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (("[organisations.lab]", "[organisations.Lab]"), "cannot name an organisation"),
        (('name = "The Lab"', 'name = ""'), "1 to 100 characters"),
        (('name = "The Lab"', 'name = "The Lab"\ndomains = ["corp.test"]'), "belongs to two organisations"),
        (('"corp.test"', '"Corp Test"'), "no domain in lower case"),
        (("https://login", "http://login"), "issuer must be an https URL"),
        (("join = true", 'algorithms = ["none"]'), "signatures by a public key"),
        (("join = true", 'algorithms = ["RS256", "HS256"]'), "not HS256"),
        (("join = true", 'scopes = ["email"]'), "scopes must have openid"),
        (('domains = ["corp.example", "corp.test"]', ""), "join needs domains"),
        (("join = true", "joins = true"), "joins"),
        (("join = true", "join = "), "is not TOML"),
        (
            (
                'name = "The Lab"',
                'name = "L"\n[organisations.lab.sign_in]\nclient_id = "x"\n'
                'issuer = "https://login.corp.example/realms/one"',
            ),
            "provider of two organisations",
        ),
    ],
)
def test_what_cannot_work_is_refused_and_said(tmp_path: Path, spoil: tuple[str, str], says: str) -> None:
    assert spoil[0] in WHOLE
    with pytest.raises(ConfigurationError, match=says):
        _read(tmp_path, WHOLE.replace(*spoil))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_organisations(tmp_path / "nowhere.toml")
