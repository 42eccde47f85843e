"""What the README uses is there, and importing the package costs nothing that is not used."""

from __future__ import annotations

import subprocess
import sys

import aauthlib


def test_everything_exported_exists_and_is_documented():
    for name in aauthlib.__all__:
        assert getattr(aauthlib, name).__doc__, name


def test_what_is_not_exported_is_an_attribute_error():
    try:
        aauthlib.nothing_like_it  # noqa: B018
    except AttributeError as error:
        assert "nothing_like_it" in str(error)
    else:
        raise AssertionError("an unknown attribute must not be found")


def test_importing_the_package_and_the_resource_loads_no_http_client_and_no_server_extra():
    code = (
        "import sys, aauthlib, aauthlib.resource, aauthlib.web.resource;"
        "print(sorted({'httpx2', 'starlette', 'sqlalchemy', 'jinja2', 'webauthn', 'rich', 'typer'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
