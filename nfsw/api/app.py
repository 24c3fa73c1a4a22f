"""The HTTP application: every path of the service, over one `Service`. Main process."""

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

import nfsw
from nfsw.api.body import BoundedRoute
from nfsw.api.cross_site import CrossSite
from nfsw.api.pages import add_pages
from nfsw.api.problems import HANDLERS, complete
from nfsw.api.routes import add_probes, add_uploads, add_watch
from nfsw.api.stream import add_stream
from nfsw.supervisor.service import Service

DESCRIPTION = """\
nfsw moves files from an NFS directory to Azure Blob Storage. Every error is `application/problem+json` (RFC 9457).

A path that is not there answers 404, a method that a path does not take 405, a request with more than 64 KiB of headers 431.
`HEAD` answers where `GET` does. A request that changes something is refused with 403 when a browser sends it for a page of another
origin, and every request with 421 when it calls the service by a name that is not its own.

`GET /v1/watch/events` has the same status as server-sent events, once a second, with at most 100 files in flight and 100 refused
ones: `event: status`, and `limits` and `throughput` when they change. `GET /` is the status page."""


class Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        complete(document)
        return document


def create_app(service: Service, hosts: Iterable[str] = ()) -> FastAPI:
    """`hosts`: the names, besides addresses and `localhost`, under which the service may be called."""
    app = Api(
        title="nfsw",
        version=nfsw.__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        exception_handlers=HANDLERS,
        redirect_slashes=False,  # an answer that OpenAPI does not know of
    )
    app.router.route_class = BoundedRoute
    app.add_middleware(CrossSite, hosts=hosts)
    add_probes(app, service)
    add_watch(app, service)
    add_stream(app, service)
    add_uploads(app, service)
    add_pages(app)
    _answer_head(app)
    return app


def _answer_head(app: FastAPI) -> None:
    """`HEAD` wherever `GET` is; the server leaves out the body. Not in the OpenAPI document, which would have every such call twice."""
    for route in [route for route in app.routes if isinstance(route, APIRoute) and "GET" in (route.methods or ())]:
        app.add_api_route(route.path, route.endpoint, methods=["HEAD"], include_in_schema=False)
