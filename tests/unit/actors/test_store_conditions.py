"""No request of ours replaces a blob that nobody looked at: it may come late, when a newer version has the name."""

from typing import Any

import pytest
from azure.core import MatchConditions

from nfsw.actors.azure_clock import AzureClock
from nfsw.actors.azure_store import Store, StoredBlob
from nfsw.actors.files import Fingerprint
from nfsw.actors.manifest import Checksums

WHOLE = Checksums(7)
FINGERPRINT = Fingerprint(3, 1, 2, 3)
THERE = StoredBlob(3, None, None, None, etag="0x1")


class Client:
    """Stands for service, container and blob. Keeps with what it was asked to write."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def get_container_client(self, name: str) -> "Client":
        return self

    def get_blob_client(self, name: str) -> "Client":
        return self

    async def upload_blob(self, data: bytes, **options: Any) -> dict[str, str]:
        self.asked = options
        return {"request_id": "1"}

    async def commit_block_list(self, blocks: list[object], **options: Any) -> dict[str, str]:
        self.asked = options
        return {"request_id": "1"}


@pytest.mark.parametrize("replace", [None, THERE], ids=["nothing was there", "a blob was there"])
@pytest.mark.parametrize("request_", ["put", "commit"])
async def test_what_is_written_takes_the_place_of_what_was_looked_at_and_of_nothing_else(request_: str, replace: StoredBlob | None) -> None:
    client = Client()
    store = Store(client, "c", AzureClock())  # type: ignore[arg-type]
    if request_ == "put":
        await store.put("b", b"abc", WHOLE, FINGERPRINT, replace=replace)
        assert client.asked["overwrite"] is (replace is not None), "the SDK's word for: unless there is one"
    else:
        await store.commit("b", ["00000"], WHOLE, FINGERPRINT, replace=replace)
    if replace:
        assert (client.asked["etag"], client.asked["match_condition"]) == ("0x1", MatchConditions.IfNotModified)
    elif request_ == "commit":
        assert client.asked["match_condition"] is MatchConditions.IfMissing
