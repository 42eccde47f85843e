"""A Flask application whose views say what they ask of their caller. Run it, then call it:

flask --app examples.flask_app run --port 8610
aauth fetch http://api.localhost:8610/calendar --dev -v
"""

import os

from flask import Flask

from aauthlib.integrations.flask import AAuth
from aauthlib.resource import authorized, person

app = Flask(__name__)
aauth = AAuth(
    app,
    issuer=os.environ.get("ISSUER", "http://api.localhost:8610"),
    dev=True,  # for an issuer with http and a port
    scopes={"calendar.read": "See your events."},
)


@app.get("/holidays")
def holidays() -> list[str]:
    """Open to anybody."""
    return ["2026-12-25"]


@app.get("/me")
@aauth.requires(person())
def me() -> dict[str, object]:
    """For whom the agent acts: the person server's name for that person here."""
    return {"person": aauth.grant.person}


@app.get("/calendar")
@aauth.requires(authorized("calendar.read"))
def calendar() -> dict[str, object]:
    """What the person agreed to show."""
    return {"for": aauth.grant.person, "events": ["Lunch"], "scope": sorted(aauth.grant.scope)}
