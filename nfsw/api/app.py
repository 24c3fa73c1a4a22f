"""The HTTP application: every path of the service, over one `Service`. Main process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

import nfsw
from nfsw.api.events import add_events
from nfsw.api.health import add_health
from nfsw.api.pages import add_pages
from nfsw.api.problems import answer_problems
from nfsw.api.problems import schema as problem_schema
from nfsw.api.throughput import Throughput
from nfsw.api.uploads import add_uploads
from nfsw.api.watch import add_watch
from nfsw.supervisor.service import Service

DESCRIPTION = """\
nfsw moves files from an NFS directory to Azure Blob Storage. Every error is `application/problem+json` (RFC 9457); a
path that is not there answers 404, a method that a path does not take 405.

`GET /v1/watch/events` has the same status as server-sent events, once a second: `event: status`, and `limits` and
`throughput` when they change. `GET /` is the status page."""


class Api(FastAPI):
    """FastAPI, with the one schema that all errors share."""

    def openapi(self) -> dict[str, Any]:
        schema = super().openapi()
        schema["components"]["schemas"].setdefault("Problem", problem_schema())
        return schema


def create_app(service: Service) -> FastAPI:
    """The lifespan samples the throughput; all else works without it."""
    throughput = Throughput()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            sampler = tasks.create_task(throughput.keep_sampling(service), name="throughput sampler")
            yield
            sampler.cancel()

    app = Api(
        title="nfsw",
        version=nfsw.__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        redirect_slashes=False,  # an answer that OpenAPI does not know of
        lifespan=lifespan,
    )
    answer_problems(app)
    add_health(app, service)
    add_watch(app, service)
    add_events(app, service, throughput)
    add_uploads(app, service)
    add_pages(app)
    return app
