"""Tier and tags of a blob: what is asked for, and what happens where the account takes no tags."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from nfsw.actors.blob_options import BlobOptions

BLOB = "20260131/run-7/a.bin"


def refusal(status: int) -> HttpResponseError:
    return HttpResponseError(response=SimpleNamespace(status_code=status, reason="no"))


class Account:
    """Notes the options of each request; refuses those with tags when it is to."""

    def __init__(self, refuses: int | None = None, refuses_all: bool = False) -> None:
        self.asked: list[dict[str, Any]] = []
        self._refuses = refuses
        self._refuses_all = refuses_all

    async def write(self, options: dict[str, Any]) -> str:
        self.asked.append(options)
        if self._refuses and (self._refuses_all or "tags" in options):
            raise refusal(self._refuses)
        return "written"


async def test_without_settings_a_request_has_no_options() -> None:
    account = Account()
    assert await BlobOptions(None, ()).applied(BLOB, account.write) == "written"
    assert account.asked == [{}]


async def test_tags_name_the_session_and_the_date_of_the_blob() -> None:
    account = Account()
    await BlobOptions("Cool", ("site=a", "run={session}-{date}")).applied(BLOB, account.write)
    assert account.asked == [{"standard_blob_tier": "Cool", "tags": {"site": "a", "run": "run-7-20260131"}}]


@pytest.mark.parametrize("status", [400, 403])
async def test_where_tags_are_refused_the_file_is_sent_without_them_and_that_is_said_once(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    account, options = Account(refuses=status), BlobOptions("Hot", ("site=a",))
    with caplog.at_level(logging.ERROR):
        assert await options.applied(BLOB, account.write) == "written"
        assert await options.applied(BLOB, account.write) == "written"
    assert account.asked[1:] == [{"standard_blob_tier": "Hot"}] * 2
    assert [record.getMessage() for record in caplog.records] == ["blob tags are refused: no; blobs are written without tags from now on"]


async def test_a_refusal_that_is_not_about_tags_stays_one_and_tags_are_asked_for_again() -> None:
    account, options = Account(refuses=403, refuses_all=True), BlobOptions(None, ("site=a",))
    for _ in range(2):
        with pytest.raises(HttpResponseError):
            await options.applied(BLOB, account.write)
    assert ["tags" in asked for asked in account.asked] == [True, False, True, False]


async def test_an_error_of_the_service_says_nothing_about_tags() -> None:
    account, options = Account(refuses=503), BlobOptions(None, ("site=a",))
    with pytest.raises(HttpResponseError):
        await options.applied(BLOB, account.write)
    assert len(account.asked) == 1
