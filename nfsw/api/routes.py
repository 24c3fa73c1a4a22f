"""The calls of the REST API: probes, the session, the uplink; and the bodies that they take. Main process."""

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import FastAPI, Query, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from nfsw.actors.names import bad_session_name
from nfsw.api.encoding import Json
from nfsw.api.problems import described, problem
from nfsw.supervisor.service import Service
from nfsw.supervisor.status import FileHistory, Limits, Status

#: The largest integer that every JSON reader holds exactly.
LARGEST = 2**53 - 1


def _session_name(name: str) -> str:
    if reason := bad_session_name(name):
        raise PydanticCustomError("session", "{reason}", {"reason": reason})
    return name


def _integral(number: object) -> object:
    """JSON has one kind of number: 2097152.0 is an integer as well."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


#: The pattern is what `bad_session_name` lets pass, for the OpenAPI document; the function has the better words.
SessionName = Annotated[
    str,
    AfterValidator(_session_name),
    Field(json_schema_extra={"pattern": r"^[a-zA-Z0-9_-]([a-zA-Z0-9_.-]{0,126}[a-zA-Z0-9_-])?$"}),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Start(_Body):
    """The session to start."""

    session: SessionName | None = Field(
        None, description="1 to 128 of [a-zA-Z0-9_-.], no dot first or last; null or left out: 00-session-<UUIDv7>"
    )


class Abandon(_Body):
    """The claimed file to give up on."""

    session: SessionName = Field(description="the session of the file")
    file: str = Field(min_length=1, max_length=4096, description="its name, as the status shows it")
    date: str | None = Field(
        None, pattern=r"^[0-9]{8}$", description="YYYYMMDD, UTC date of its claim; null or left out: the only one there is"
    )


class NewLimits(_Body):
    """The limits to keep from now on, until the next call or restart."""

    upload_bytes_per_s: Annotated[int | None, BeforeValidator(_integral)] = Field(
        ge=1, le=LARGEST, description="bytes per second for the whole service; null: no limit"
    )


class Ok(BaseModel):
    """All is well."""

    status: Literal["ok"]


After = Annotated[int, Query(ge=0, le=LARGEST, description="leave out the files whose `number` is not above this one")]

_WITHOUT_NAME = Start()


def add_probes(app: FastAPI, service: Service) -> None:
    """They say what the supervisor last concluded, at once: no NFS, no threads, no waiting."""

    @app.get(
        "/healthz",
        tags=["probes"],
        summary="Liveness",
        response_model=Ok,
        response_description="Alive.",
        responses=described({HTTPStatus.SERVICE_UNAVAILABLE: "The pod must be restarted; `detail` says why."}),
    )
    async def healthz() -> Response:
        return _probe(service.unhealthy_reason())

    @app.get(
        "/readyz",
        tags=["probes"],
        summary="Readiness: every actor runs and the Azure container has answered",
        response_model=Ok,
        response_description="Ready.",
        responses=described({HTTPStatus.SERVICE_UNAVAILABLE: "Not ready; `detail` says why."}),
    )
    async def readyz() -> Response:
        return _probe(service.unready())


def _probe(reason: str | None) -> Response:
    return Json({"status": "ok"}) if reason is None else problem(HTTPStatus.SERVICE_UNAVAILABLE, reason)


def add_watch(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/watch/start",
        tags=["watch"],
        summary="Start a session",
        status_code=HTTPStatus.CREATED,
        response_model=Status,
        response_description="Started; the status.",
        responses=described(
            {
                HTTPStatus.BAD_REQUEST: "A bad session name, or a bad body; what is wrong with it.",
                HTTPStatus.CONFLICT: "A session is active in this pod, another pod holds this one, or a symbolic link or a file is where "
                "a folder of it has to be; `detail` names it.",
                HTTPStatus.SERVICE_UNAVAILABLE: "The session was not started: NFS did not answer in time or answered with an error, "
                "or the Azure container has not answered since the service started; `detail` says which.",
            }
        ),
    )
    async def start(wanted: Start = _WITHOUT_NAME) -> Response:
        """Without a body, or without a name in it, the session is named 00-session-<UUIDv7>."""
        return Json(await service.start(wanted.session), HTTPStatus.CREATED)

    @app.post(
        "/v1/watch/stop",
        tags=["watch"],
        summary="Stop the session",
        response_model=Status,
        response_description="Stopped; the status.",
        responses=described(
            {
                HTTPStatus.CONFLICT: "No session is active in this pod.",
                HTTPStatus.SERVICE_UNAVAILABLE: "Nothing new is claimed any more, but NFS has not taken a note of the stop in time: "
                "until it has, a restart makes the session active again.",
            }
        ),
    )
    async def stop() -> Response:
        """No new files are claimed. Files already claimed are finished."""
        return Json(await service.stop())

    @app.post(
        "/v1/watch/abandon",
        tags=["watch"],
        summary="Give up on a claimed file that can never be finished",
        response_model=Status,
        response_description="Abandoned; the status.",
        responses=described(
            {
                HTTPStatus.NOT_FOUND: "The session has no claimed file of this name.",
                HTTPStatus.CONFLICT: "This pod does not hold the session, or it has claimed files of this name on several days; "
                "`detail` says which.",
                HTTPStatus.SERVICE_UNAVAILABLE: "NFS did not answer in time or answered with an error; `detail` says which.",
            }
        ),
    )
    async def abandon(given_up: Abandon) -> Response:
        """It stays under .processing on NFS, is listed as refused, and its session can end without it.

        To have it taken up again, remove its note: .nfsw/abandoned/<date>/<session>/<file>.
        """
        return Json(await service.abandon(given_up.session, given_up.file, given_up.date))

    @app.get("/v1/watch/status", tags=["watch"], summary="The status", response_model=Status, response_description="The status.")
    async def status() -> Response:
        return Json(service.status())

    @app.get(
        "/v1/watch/history",
        tags=["watch"],
        summary="The files that were finished last",
        response_model=FileHistory,
        response_description="At most 100 files, the newest first.",
        responses=described({HTTPStatus.BAD_REQUEST: "`after` is not a number of a file."}),
    )
    async def history(after: After = 0) -> Response:
        """Kept in memory: after a restart the list is empty. `since` says from when on it counts."""
        return Json(service.history(after))


def add_uploads(app: FastAPI, service: Service) -> None:
    @app.get("/v1/limits", tags=["uploads"], summary="The limits in force", response_model=Limits, response_description="The limits.")
    async def limits() -> Response:
        return Json(service.limits())

    @app.put(
        "/v1/limits",
        tags=["uploads"],
        summary="Limit the uploads",
        response_model=Limits,
        response_description="The limits from now on.",
    )
    async def limit(wanted: NewLimits) -> Response:
        """Valid until the next call or restart, in place of the setting APP_UPLOAD_LIMIT."""
        return Json(await service.limit_uploads(wanted.upload_bytes_per_s))

    @app.post(
        "/v1/uploads/pause",
        tags=["uploads"],
        summary="Pause uploads",
        response_model=Status,
        response_description="Paused; the status.",
    )
    async def pause() -> Response:
        """What was sent is kept. Files are still claimed and staged."""
        return Json(await service.pause_uploads())

    @app.post(
        "/v1/uploads/resume",
        tags=["uploads"],
        summary="Resume uploads",
        response_model=Status,
        response_description="Running; the status.",
    )
    async def resume() -> Response:
        return Json(await service.resume_uploads())
