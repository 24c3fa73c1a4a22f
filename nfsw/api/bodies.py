"""What clients send: the JSON bodies, and how one is read. Main process.

FastAPI's own validation answers 422 and takes more than the contract does, so the body is read here: a cap on its
size and on the time it takes, JSON only, exact types, no field that is not ours.
"""

import asyncio
from typing import Annotated, Any

from fastapi import Request
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError
from starlette.requests import ClientDisconnect

from nfsw.actors.names import bad_session_name
from nfsw.api.problems import BadRequest, TooLarge, TooSlow

#: Many times what any real body needs.
LARGEST_BODY = 64 * 1024
#: Seconds for a body to arrive. One that never does would hold its connection for ever.
BODY_S = 30.0
#: The largest integer that every JSON reader holds exactly.
LARGEST_RATE = 2**53 - 1


#: What `bad_session_name` lets pass.
SESSION = r"^[a-zA-Z0-9_-]([a-zA-Z0-9_.-]{0,126}[a-zA-Z0-9_-])?$"


def _session_name(name: str) -> str:
    if reason := bad_session_name(name):
        raise PydanticCustomError("session", "{reason}", {"reason": reason})
    return name


def _integral(number: object) -> object:
    """JSON has one kind of number: 2097152.0 is an integer as well."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


class Start(BaseModel):
    """The session to start."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    session: Annotated[
        str | None,
        AfterValidator(lambda name: name if name is None else _session_name(name)),
        Field(
            description="1 to 128 of [a-zA-Z0-9_-.], no dot first or last; null or left out: 00-session-<UUIDv7>",
            json_schema_extra={
                "anyOf": [
                    {"type": "string", "pattern": SESSION},
                    {"type": "null"},
                ]
            },
        ),
    ] = None


class Abandon(BaseModel):
    """The claimed file to give up on."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    session: Annotated[str, AfterValidator(_session_name)] = Field(
        description="the session of the file", json_schema_extra={"pattern": SESSION}
    )
    file: str = Field(min_length=1, max_length=4096, description="its name, as the status shows it")
    date: str | None = Field(
        None, pattern=r"^[0-9]{8}$", description="YYYYMMDD, UTC date of its claim; null or left out: the only one there is"
    )


class NewLimits(BaseModel):
    """The limits to keep from now on, until the next call or restart."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    upload_bytes_per_s: Annotated[int | None, BeforeValidator(_integral)] = Field(
        ge=1, le=LARGEST_RATE, description="bytes per second for the whole service; null: no limit"
    )


async def read[Body: BaseModel](request: Request, kind: type[Body], *, empty: Body | None = None) -> Body:
    """The request's body as a `kind`; `empty` stands for no body at all. Raises BadRequest, TooLarge, TooSlow."""
    body = await _bytes(request)
    if not body and empty is not None:
        return empty
    # A web page can make a browser send any other type to another origin without asking first, so no other one is taken for JSON.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadRequest("the body must be JSON, sent with Content-Type: application/json")
    try:
        return kind.model_validate_json(body)
    except ValidationError as wrong:
        raise BadRequest("; ".join(_problems(wrong))) from None


def described(kind: type[BaseModel], *, required: bool) -> dict[str, Any]:
    """The body as OpenAPI has it."""
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": kind.model_json_schema()}}}}


async def _bytes(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                body += part
                if len(body) > LARGEST_BODY:
                    raise TooLarge(f"the body is larger than {LARGEST_BODY} bytes")
    except TimeoutError:
        raise TooSlow(f"the body did not arrive within {BODY_S:.0f} s") from None
    except ClientDisconnect:
        raise BadRequest("the body ended early") from None
    return bytes(body)


def _problems(wrong: ValidationError) -> list[str]:
    found = []
    for error in wrong.errors(include_url=False, include_input=False):
        field = ".".join(str(step) for step in error["loc"])
        found.append(f"{field}: {error['msg']}" if field else error["msg"])
    return found
