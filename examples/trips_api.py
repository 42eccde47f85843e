"""A FastAPI application that calls another API for its caller, in its own name. Run it beside examples/fastapi_app.py:

uvicorn examples.fastapi_app:app --port 8600
uvicorn examples.trips_api:app --port 8601
aauth fetch http://trips.localhost:8601/free --dev -v
"""

import os

from fastapi import FastAPI, HTTPException, Request

from aauthlib.integrations.fastapi import AAuth, Grant

CALENDAR = os.environ.get("CALENDAR", "http://api.localhost:8600")

app = FastAPI()
aauth = AAuth(
    app,
    issuer=os.environ.get("ISSUER", "http://trips.localhost:8601"),
    intermediary=True,
    dev=True,  # for an issuer with http and a port
    name="Trips",
    scopes={"trips.plan": "Plan trips around what is in your calendar."},
)


@app.get("/free")
async def free(request: Request, grant: Grant = aauth.authorized("trips.plan")) -> dict[str, object]:
    """Whether the caller's person has time. They are asked by their own person server, where they have not been yet."""
    answer = await aauth.downstream(request).get(
        f"{CALENDAR}/calendar", justification="To find a day on which **nothing** is planned."
    )
    if answer.status_code != 200:
        raise HTTPException(502, "The calendar does not answer.")
    return {"for": grant.person, "free": not answer.json()["events"]}


@app.get("/free-too")
def free_too(request: Request, grant: Grant = aauth.authorized("trips.plan")) -> dict[str, object]:
    """The same from a thread, as FastAPI runs an endpoint that is no coroutine."""
    answer = aauth.downstream_blocking(request).get(f"{CALENDAR}/calendar")
    return {"for": grant.person, "free": answer.status_code == 200 and not answer.json()["events"]}
