"""Every answer that is an error: `application/problem+json` as in RFC 9457. Main process.

One shape for all of them, the router's own 404 and 405 included, so that a client needs one way to read them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Request, Response
from pydantic import Field, TypeAdapter
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from nfsw.api.answers import encode
from nfsw.supervisor.service import AzureSilent, NfsSilent, NoSession, NoSuchFile, SessionConflict, SeveralFiles

MEDIA_TYPE = "application/problem+json"

_STATUS: Mapping[type[Exception], HTTPStatus] = {
    SessionConflict: HTTPStatus.CONFLICT,
    NoSession: HTTPStatus.CONFLICT,
    NoSuchFile: HTTPStatus.NOT_FOUND,
    SeveralFiles: HTTPStatus.CONFLICT,
    NfsSilent: HTTPStatus.SERVICE_UNAVAILABLE,
    AzureSilent: HTTPStatus.SERVICE_UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong (RFC 9457)."""

    type: Annotated[str, Field(description="always about:blank: `title` and `status` say what kind of problem it is")]
    title: Annotated[str, Field(description="the status in words")]
    status: Annotated[int, Field(description="the HTTP status of this answer", ge=400, le=599)]
    detail: Annotated[str, Field(description="the reason, for people")]


class BadRequest(Exception):
    """The request cannot be understood. The message says why."""


class TooLarge(Exception):
    """The request's body is larger than any that the service takes."""


class TooSlow(Exception):
    """The request's body did not arrive in time."""


_BAD_BODY: Mapping[type[Exception], HTTPStatus] = {
    BadRequest: HTTPStatus.BAD_REQUEST,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    TooSlow: HTTPStatus.REQUEST_TIMEOUT,
}


def problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    body = encode(Problem("about:blank", status.phrase, status, detail))
    return Response(body, status, {"Cache-Control": "no-store", **(headers or {})}, MEDIA_TYPE)


#: What any call may answer.
ANY_CALL: Mapping[HTTPStatus, str] = {
    HTTPStatus.BAD_REQUEST: "The request is not valid HTTP.",
    HTTPStatus.MISDIRECTED_REQUEST: "`Host` is not a name of this service (APP_ALLOWED_HOSTS).",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Internal error; the log of the service has the cause.",
}
#: What a call that changes something may answer.
CHANGES: Mapping[HTTPStatus, str] = {HTTPStatus.FORBIDDEN: "The request was sent by a web page of another origin."}
#: What a call with a body may answer.
BODY: Mapping[HTTPStatus, str] = {
    HTTPStatus.BAD_REQUEST: "The body is not JSON, or not as described, or is not sent as `application/json`.",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not arrive in time.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
}


def schema() -> dict[str, Any]:
    """Of all problems; `described` refers to it."""
    return TypeAdapter(Problem).json_schema()


def described(problems: Mapping[HTTPStatus, str]) -> dict[int | str, dict[str, Any]]:
    """`problems` (when each status comes back) as OpenAPI has it."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {int(status): {"description": when, "content": content} for status, when in problems.items()}


def answer_problems(app: FastAPI) -> None:
    """Make every error of `app` a problem."""
    for kind in _STATUS:
        app.add_exception_handler(kind, _service_said_no)
    for kind in _BAD_BODY:
        app.add_exception_handler(kind, _bad_body)
    app.add_exception_handler(HTTPException, _router_said_no)
    app.add_exception_handler(Exception, _broken)


async def _service_said_no(_request: Request, error: Exception) -> Response:
    return problem(_STATUS[type(error)], _words(error))


async def _bad_body(_request: Request, error: Exception) -> Response:
    status = _BAD_BODY[type(error)]
    # The rest of a body that was not read to its end still stands in the connection, which is of no further use.
    return problem(status, _words(error), {} if status is HTTPStatus.BAD_REQUEST else {"Connection": "close"})


async def _router_said_no(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status, path = HTTPStatus(error.status_code), request.url.path
    match status:
        case HTTPStatus.NOT_FOUND:
            return problem(status, f"no such path: {path}")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = _allowed(request)
            return problem(status, f"{request.method} is not allowed on {path}; allowed: {allowed}", {"Allow": allowed})
        case _:
            return problem(status, error.detail, error.headers)


async def _broken(_request: Request, _error: Exception) -> Response:
    # The server logs the traceback; it is nothing for a client.
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the log of the service has the cause")


def _allowed(request: Request) -> str:
    """The methods that the request's path takes. The router itself names those of the first route only."""
    routes = (route for route in request.app.routes if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE)
    return ", ".join(sorted(method for route in routes for method in route.methods or ()))


def _words(error: Exception) -> str:
    return str(error) or (type(error).__doc__ or type(error).__name__)
