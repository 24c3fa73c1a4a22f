"""The probes: what the supervisor last concluded, said at once. Main process; no NFS, no threads, no waiting."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from fastapi import FastAPI, Response

from nfsw.api.answers import encode
from nfsw.api.problems import described, problem
from nfsw.supervisor.service import Service


@dataclass(frozen=True, slots=True)
class Ok:
    """All is well."""

    status: Literal["ok"]


_OK = encode(Ok("ok"))
_NO_STORE = {"Cache-Control": "no-store"}


def add_health(app: FastAPI, service: Service) -> None:
    @app.get(
        "/healthz",
        tags=["probes"],
        summary="Liveness",
        response_model=Ok,
        response_description="Alive.",
        responses=described({HTTPStatus.SERVICE_UNAVAILABLE: "The pod must be restarted; `detail` says why."}),
    )
    async def healthz() -> Response:
        return _probe(service.sick())

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
    if reason is None:
        return Response(_OK, HTTPStatus.OK, _NO_STORE, "application/json")
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, reason)
