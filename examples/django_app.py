"""A Django application in one file whose views say what they ask of their caller. Run it, then call it:

uvicorn examples.django_app:application --port 8620
aauth fetch http://api.localhost:8620/calendar --dev -v

In a project, `MIDDLEWARE` and `AAUTH` stand in its settings, and `requires` in its views.
"""

import os

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("SECRET_KEY", "only for trying it out"),
    ALLOWED_HOSTS=["api.localhost"],
    MIDDLEWARE=["aauthlib.integrations.django.AAuthMiddleware"],
    AAUTH={
        "issuer": os.environ.get("ISSUER", "http://api.localhost:8620"),
        "dev": True,  # for an issuer with http and a port
        "scopes": {"calendar.read": "See your events."},
    },
)

from aauthlib.integrations.django import requires  # noqa: E402
from aauthlib.resource import authorized, person  # noqa: E402


def holidays(request: HttpRequest) -> JsonResponse:
    """Open to anybody."""
    return JsonResponse(["2026-12-25"], safe=False)


@requires(person())
def me(request: HttpRequest) -> JsonResponse:
    """For whom the agent acts: the person server's name for that person here."""
    return JsonResponse({"person": request.aauth.person})


@requires(authorized("calendar.read"))
async def calendar(request: HttpRequest) -> JsonResponse:
    """What the person agreed to show."""
    grant = request.aauth
    return JsonResponse({"for": grant.person, "events": ["Lunch"], "scope": sorted(grant.scope)})


urlpatterns = [path("holidays", holidays), path("me", me), path("calendar", calendar)]
application = get_asgi_application()
wsgi = get_wsgi_application()
