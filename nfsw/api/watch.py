"""The session: start, stop, abandon, status. Main process."""

from http import HTTPStatus

from fastapi import FastAPI, Request, Response

from nfsw.api import bodies
from nfsw.api.answers import answer
from nfsw.api.problems import BODY, CHANGES, described
from nfsw.supervisor.service import Service
from nfsw.supervisor.status import Status


def add_watch(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/watch/start",
        tags=["watch"],
        summary="Start a session",
        description="Without a body, or without a name in it, the session is named 00-session-<UUIDv7>.",
        status_code=HTTPStatus.CREATED,
        response_model=Status,
        response_description="Started; the status.",
        responses=described(
            {
                **CHANGES,
                **BODY,
                HTTPStatus.BAD_REQUEST: "A bad session name, or a bad body; what is wrong with it.",
                HTTPStatus.CONFLICT: "A session is active in this pod, another pod holds this one, or a symbolic link or a file is where "
                "a folder of it has to be; `detail` names it.",
                HTTPStatus.SERVICE_UNAVAILABLE: "The session was not started: NFS did not answer in time or answered with an error, "
                "or the Azure container has not answered since the service started; `detail` says which.",
            }
        ),
        openapi_extra=bodies.described(bodies.Start, required=False),
    )
    async def start(request: Request) -> Response:
        wanted = await bodies.read(request, bodies.Start, empty=bodies.Start())
        return answer(await service.start(wanted.session), HTTPStatus.CREATED)

    @app.post(
        "/v1/watch/stop",
        tags=["watch"],
        summary="Stop the session",
        description="No new files are claimed. Files already claimed are finished.",
        response_model=Status,
        response_description="Stopped; the status.",
        responses=described(
            {
                **CHANGES,
                HTTPStatus.CONFLICT: "No session is active in this pod.",
                HTTPStatus.SERVICE_UNAVAILABLE: "Nothing new is claimed any more, but NFS has not taken a note of the stop in time: "
                "until it has, a restart makes the session active again.",
            }
        ),
    )
    async def stop() -> Response:
        return answer(await service.stop())

    @app.post(
        "/v1/watch/abandon",
        tags=["watch"],
        summary="Give up on a claimed file that can never be finished",
        description="It stays under .processing on NFS, is listed as refused, and its session can end without it. "
        "To have it taken up again, remove its note: .nfsw/abandoned/<date>/<session>/<file>.",
        response_model=Status,
        response_description="Abandoned; the status.",
        responses=described(
            {
                **CHANGES,
                **BODY,
                HTTPStatus.BAD_REQUEST: "A bad body; what is wrong with it.",
                HTTPStatus.NOT_FOUND: "The session has no claimed file of this name.",
                HTTPStatus.CONFLICT: "This pod does not hold the session, or it has claimed files of this name on several days; "
                "`detail` says which.",
                HTTPStatus.SERVICE_UNAVAILABLE: "NFS did not answer in time or answered with an error; `detail` says which.",
            }
        ),
        openapi_extra=bodies.described(bodies.Abandon, required=True),
    )
    async def abandon(request: Request) -> Response:
        given_up = await bodies.read(request, bodies.Abandon)
        return answer(await service.abandon(given_up.session, given_up.file, given_up.date))

    @app.get("/v1/watch/status", tags=["watch"], summary="The status", response_model=Status, response_description="The status.")
    async def status() -> Response:
        return answer(service.status())
