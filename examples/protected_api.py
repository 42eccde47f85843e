"""An API in front of which AAuth stands. Run it, then call it:

uvicorn examples.protected_api:app --port 8600
aauth fetch http://api.localhost:8600/hello --dev -v
"""

import time

from aauthlib.keys import SigningKey
from aauthlib.resource import MemoryResourceStore, Policy, Resource, Route, anonymous, identified, person
from aauthlib.transport import AsyncWire
from aauthlib.web.resource import AAuthMiddleware

ISSUER = "http://api.localhost:8600"


async def api(scope, receive, send):
    """The application: it knows nothing of tokens and signatures."""
    if scope["type"] != "http":
        return
    grant = scope["aauth"]
    who = grant.person or grant.agent or grant.pseudonym or "whoever you are"
    body = f"Hello, {who}.\n".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})


resource = Resource(
    issuer=ISSUER,
    wire=AsyncWire.open(dev=True),
    store=MemoryResourceStore(time.time),
    signing_key=SigningKey.generate(),
    dev=True,
    name="Example API",
)
policy = Policy(
    [
        Route("GET", "/", anonymous(limit="30/minute")),
        Route("GET", "/hello", identified()),
        Route("GET", "/me", person()),
    ]
)
app = AAuthMiddleware(api, resource, policy)
