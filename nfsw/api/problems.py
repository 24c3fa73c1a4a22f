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
from nfsw.supervisor.service import NfsSilent, NoSession, SessionConflict

MEDIA_TYPE = "application/problem+json"

_STATUS: Mapping[type[Exception], HTTPStatus] = {
    SessionConflict: HTTPStatus.CONFLICT,
    NoSession: HTTPStatus.CONFLICT,
    NfsSilent: HTTPStatus.SERVICE_UNAVAILABLE,
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


def problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    body = encode(Problem("about:blank", status.phrase, status, detail))
    return Response(body, status, {"Cache-Control": "no-store", **(headers or {})}, MEDIA_TYPE)


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
    app.add_exception_handler(BadRequest, _bad_request)
    app.add_exception_handler(TooLarge, _too_large)
    app.add_exception_handler(HTTPException, _router_said_no)
    app.add_exception_handler(Exception, _broken)


async def _service_said_no(_request: Request, error: Exception) -> Response:
    return problem(_STATUS[type(error)], _words(error))


async def _bad_request(_request: Request, error: Exception) -> Response:
    return problem(HTTPStatus.BAD_REQUEST, _words(error))


async def _too_large(_request: Request, error: Exception) -> Response:
    # What is left of the body is not read, so the connection is of no further use.
    return problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _words(error), {"Connection": "close"})


async def _router_said_no(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status, path = HTTPStatus(error.status_code), request.url.path
    match status:
        case HTTPStatus.NOT_FOUND:
            return problem(status, f"there is nothing at {path}")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = _allowed(request)
            return problem(status, f"{path} takes {allowed}, not {request.method}", {"Allow": allowed})
        case _:
            return problem(status, error.detail, error.headers)


async def _broken(_request: Request, _error: Exception) -> Response:
    # The server logs the traceback; it is nothing for a client.
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the service failed on this request; its log says why")


def _allowed(request: Request) -> str:
    """The methods that the request's path takes. The router itself names those of the first route only."""
    routes = (route for route in request.app.routes if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE)
    return ", ".join(sorted(method for route in routes for method in route.methods or ()))


def _words(error: Exception) -> str:
    return str(error) or (type(error).__doc__ or type(error).__name__)
