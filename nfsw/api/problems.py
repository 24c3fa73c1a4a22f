"""Every answer that is an error: `application/problem+json` as in RFC 9457. Main process.

One shape for all of them, the router's own 404 and 405 included, so that a client needs one way to read them.
"""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field, TypeAdapter
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from nfsw.api.encoding import to_json
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


def problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    body = to_json(Problem("about:blank", status.phrase, status, detail))
    return Response(body, status, {"Cache-Control": "no-store", **(headers or {})}, MEDIA_TYPE)


# --- In the OpenAPI document ---

#: What any call may answer.
_ANY_CALL: Mapping[HTTPStatus, str] = {
    HTTPStatus.BAD_REQUEST: "The request is not valid HTTP.",
    HTTPStatus.MISDIRECTED_REQUEST: "`Host` is not a name of this service (APP_ALLOWED_HOSTS).",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Internal error; the log of the service has the cause.",
}
#: What a call that changes something may answer.
_CHANGES: Mapping[HTTPStatus, str] = {HTTPStatus.FORBIDDEN: "The request was sent by a web page of another origin."}
#: What a call with a body may answer.
_BODY: Mapping[HTTPStatus, str] = {
    HTTPStatus.BAD_REQUEST: "The body is not JSON, or not as described, or is not sent as `application/json`.",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not arrive in time.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
}


def complete(document: dict[str, Any]) -> None:
    """Puts into an OpenAPI document what any call may answer; and takes 422 out of it, which is FastAPI's for a body that is 400 here."""
    for path in document["paths"].values():
        for method, operation in path.items():
            answers: dict[str, Any] = operation["responses"]
            answers.pop("422", None)
            usual = {**_ANY_CALL, **(_CHANGES if method != "get" else {}), **(_BODY if "requestBody" in operation else {})}
            for status, answer in described(usual).items():
                answers.setdefault(str(status), answer)
    schemas: dict[str, Any] = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = TypeAdapter(Problem).json_schema()


def described(problems: Mapping[HTTPStatus, str]) -> dict[int | str, dict[str, Any]]:
    """`problems` (when each status comes back) as `responses` of a FastAPI route."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {int(status): {"description": when, "content": content} for status, when in problems.items()}


# --- Handlers ---


async def _refused(_request: Request, error: Exception) -> Response:
    return problem(_STATUS[type(error)], str(error) or (type(error).__doc__ or ""))


async def _bad_body(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problem(
        HTTPStatus.BAD_REQUEST, "; ".join(f"{'.'.join(map(str, one['loc'][1:])) or 'body'}: {one['msg']}" for one in error.errors())
    )


async def _http_error(request: Request, error: Exception) -> Response:
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


async def _internal_error(_request: Request, _error: Exception) -> Response:
    # The server logs the traceback; it is nothing for a client.
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the log of the service has the cause")


def _allowed(request: Request) -> str:
    """The methods that the request's path takes. The router itself names those of the first route only."""
    routes = (route for route in request.app.routes if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE)
    return ", ".join(sorted(method for route in routes for method in route.methods or ()))


#: For FastAPI: they make every error a problem.
HANDLERS: dict[int | type[Exception], Callable[[Request, Exception], Coroutine[Any, Any, Response]]] = {
    **dict.fromkeys(_STATUS, _refused),
    RequestValidationError: _bad_body,
    HTTPException: _http_error,
    Exception: _internal_error,
}
