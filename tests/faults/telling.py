"""What the service says of a file in trouble, in its status and in its log; and the settings of the tests that ask."""

import errno

from tests.support.content import KIB, MIB
from tests.support.service import Service

SETTINGS = {"APP_WORKERS": "4", "APP_AZURE_MAX_BLOCK_SIZE": str(256 * KIB), "APP_AZURE_MAX_SINGLE_PUT_SIZE": str(512 * KIB)}
SIZE = MIB


def name_of(error: int) -> str:
    return errno.errorcode[error]


def reasons(service: Service) -> dict[str, str]:
    """Of each file that the status gives one for."""
    status = service.status()
    given = {flight["file"]: flight["error"] for flight in status["in_flight"] if flight["error"]}
    return given | {refused["file"]: refused["reason"] for refused in status["refused"]}


def what_is_told(service: Service, file: str) -> str | None:
    return reasons(service).get(file)


def what_is_logged(service: Service, file: str, error: int) -> bool:
    return any(
        line.get("file_name") == file and line["level"] in ("WARNING", "ERROR") and name_of(error) in line["message"]
        for line in service.log()
    )
