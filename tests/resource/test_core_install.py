"""A resource needs only the core install, with its store in memory."""

from __future__ import annotations

import os
import subprocess
import sys

_SCRIPT = """
import sys
for name in "sqlalchemy starlette jinja2 nh3 markdown_it markupsafe argon2 webauthn aiosqlite".split():
    sys.modules[name] = None
import aauthlib.resource, aauthlib.web.resource
from aauthlib.resource import MemoryResourceStore, Policy, Resource, Route, person
resource = Resource(issuer="https://api.example", wire=None, store=MemoryResourceStore(lambda: 0.0))
aauthlib.web.resource.AAuthMiddleware(None, resource, Policy([Route("GET", "/", person())]))
from aauthlib.web.resource_pages import _markdown
assert _markdown("**<b>**") == "<p>**&lt;b&gt;**</p>"
print("ok")
"""


def test_the_resource_role_and_its_middleware_work_without_the_server_extra() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "ok"), done.stderr
