"""The uplink: its limit, pause and resume. Main process."""

from fastapi import FastAPI, Request, Response

from nfsw.api import bodies
from nfsw.api.answers import answer
from nfsw.api.problems import BODY, CHANGES, described
from nfsw.supervisor.service import Service
from nfsw.supervisor.status import Limits, Status


def add_uploads(app: FastAPI, service: Service) -> None:
    @app.get("/v1/limits", tags=["uploads"], summary="The limits in force", response_model=Limits, response_description="The limits.")
    async def limits() -> Response:
        return answer(service.limits())

    @app.put(
        "/v1/limits",
        tags=["uploads"],
        summary="Limit the uploads",
        description="Valid until the next call or restart, in place of the setting APP_UPLOAD_LIMIT.",
        response_model=Limits,
        response_description="The limits from now on.",
        responses=described({**CHANGES, **BODY}),
        openapi_extra=bodies.described(bodies.NewLimits, required=True),
    )
    async def limit(request: Request) -> Response:
        wanted = await bodies.read(request, bodies.NewLimits)
        return answer(await service.limit_uploads(wanted.upload_bytes_per_s))

    @app.post(
        "/v1/uploads/pause",
        tags=["uploads"],
        summary="Pause uploads",
        description="What was sent is kept. Files are still claimed and staged.",
        response_model=Status,
        response_description="Paused; the status.",
        responses=described(CHANGES),
    )
    async def pause() -> Response:
        return answer(await service.pause_uploads())

    @app.post(
        "/v1/uploads/resume",
        tags=["uploads"],
        summary="Resume uploads",
        response_model=Status,
        response_description="Running; the status.",
        responses=described(CHANGES),
    )
    async def resume() -> Response:
        return answer(await service.resume_uploads())
