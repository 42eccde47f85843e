"""A FastAPI application whose endpoints say what they ask of their caller. Run it, then call it:

uvicorn examples.fastapi_app:app --port 8600
aauth fetch http://api.localhost:8600/calendar --dev -v
"""

import os

from fastapi import FastAPI

from aauthlib.integrations.fastapi import AAuth, Grant

app = FastAPI()
aauth = AAuth(
    app,
    issuer=os.environ.get("ISSUER", "http://api.localhost:8600"),
    dev=True,  # for an issuer with http and a port
    scopes={"calendar.read": "See your events."},
)


@app.get("/holidays")
async def holidays() -> list[str]:
    """Open to anybody."""
    return ["2026-12-25"]


@app.get("/me")
async def me(grant: Grant = aauth.person()) -> dict[str, object]:
    """For whom the agent acts: the person server's name for that person here."""
    return {"person": grant.person}


@app.get("/calendar")
async def calendar(grant: Grant = aauth.authorized("calendar.read")) -> dict[str, object]:
    """What the person agreed to show."""
    return {"for": grant.person, "events": ["Lunch"], "scope": sorted(grant.scope)}
