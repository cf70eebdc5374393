"""A Django project in one file: changes of a table as server-sent events, under ASGI.

    DATABASE_URL=postgresql://... uvicorn examples.django_app:application
    curl -N localhost:8000/changes/llamadas_ventas

The hub is made on the first request, in each worker process, since it belongs to an event loop.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import path

from realtime_hub import ChangeStream, RealtimeHub, get_hub
from realtime_hub.errors import HubNameError, SubscriptionError

if not settings.configured:
    settings.configure(ALLOWED_HOSTS=["127.0.0.1", "localhost"], ROOT_URLCONF=__name__)
    django.setup()


def hub() -> RealtimeHub:
    try:
        return get_hub()
    except HubNameError:
        return RealtimeHub.from_url(os.environ["DATABASE_URL"], name="main")


async def changes(request: HttpRequest, table: str) -> HttpResponseBase:
    # A browser that reads too slowly loses the oldest changes, and nobody waits for it.
    try:
        stream = hub().stream(
            table,
            request.GET.get("event", "*"),
            filter=request.GET.get("filter"),
            overflow="drop_oldest",
        )
        await stream.__aenter__()
    except SubscriptionError as refusal:
        return HttpResponse(str(refusal), status=404)
    return StreamingHttpResponse(events(stream), content_type="text/event-stream")


async def events(stream: ChangeStream) -> AsyncIterator[str]:
    async with stream:
        yield ": listening\n\n"
        async for change in stream:
            yield f"event: {change.event}\ndata: {json.dumps(change.new or change.old)}\n\n"


urlpatterns = [path("changes/<str:table>", changes)]
application = get_asgi_application()
