"""What only the real service can show: names, content types, large bodies, and what becomes of errors."""

from collections.abc import AsyncIterator

import pytest

from nfsw.actors.azure_errors import StoreTrouble
from nfsw.actors.azure_store import Store
from tests.support.azurite import Endpoint
from tests.support.store_ground import CONTENT, FINGERPRINT, Ground, blocks_of, checksums, ids_of, in_azurite, is_made_of, stage

BLOB = "20260131/s/a.bin"


@pytest.fixture
async def ground(azurite: Endpoint) -> AsyncIterator[Ground]:
    async with in_azurite(azurite) as ground:
        yield ground


#: aiohttp would rather have a file; what is put is in memory anyway, and this loop has nothing else to do.
@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
async def test_a_put_beyond_the_sdks_own_limit_is_still_one_request_with_one_hash(ground: Ground) -> None:
    """By itself the SDK cuts from 64 MiB on: into blocks whose ids are not ours, each with the hash of the whole."""
    content = bytes(65 * 1024 * 1024)
    await ground.store.put(BLOB, content, checksums(content), FINGERPRINT, replace=None)
    assert is_made_of(content, await ground.store.look(BLOB))


ODD = ["a b", " a", "a ", "%", "%20", "%zz", "a%2Fb", "#", "a#b", "?", "a?b=c&d", "&", "+", "~", "'", '"', "`", "^", "|", "<>"]
ODD += ["[]{}", ";=,", ":@!$()*", "ä ö ü ß", "a\u0308", "日本語.mp4", "\N{GRINNING FACE}.bin", "a\u00a0b", "\u202eabc", "..a", "-"]
ODD += ["data:a/b,c", "data:ä/ö,", "http:x", "x" * 240]


@pytest.mark.parametrize("name", ODD)
async def test_odd_names_are_kept_to_the_letter(ground: Ground, name: str) -> None:
    store = ground.store
    blob = f"20260131/s/{name}"
    await store.put(blob, b"put", checksums(b"put"), FINGERPRINT, replace=None)
    assert ground.content(blob) == b"put"
    await stage(store, CONTENT, blocks_of(CONTENT), blob)
    assert len(await store.blocks(blob) or {}) == 3
    await store.commit(blob, ids_of(blocks_of(CONTENT)), checksums(CONTENT), FINGERPRINT, replace=await store.look(blob))
    assert ground.content(blob) == CONTENT


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.mp4", "video/mp4"),
        ("a.bin", "application/octet-stream"),
        ("a", "application/octet-stream"),
        ("a.tar.gz", "application/octet-stream"),
        ("data:text/evil,x", "application/octet-stream"),
        ("data:text/evil,x.txt", "text/plain"),
        ("http:x.html", "text/html"),
    ],
)
async def test_the_content_type_is_that_of_the_extension(ground: Ground, name: str, kind: str) -> None:
    await ground.store.put(name, b"x", checksums(b"x"), FINGERPRINT, replace=None)
    assert ground.content_type(name) == kind


async def test_a_service_that_is_not_there_is_trouble_that_passes() -> None:
    store = Store.connect(None, Endpoint(1).connection_string, "test")
    with pytest.raises(StoreTrouble) as trouble:
        await store.probe()
    assert trouble.value.passing
    assert trouble.value.status is None
    assert "\n" not in str(trouble.value)
    await store.close()


async def test_a_wrong_key_is_trouble_that_does_not_pass(azurite: Endpoint) -> None:
    store = Store.connect(None, azurite.signed_with("d3Jvbmc="), "test")
    with pytest.raises(StoreTrouble) as trouble:
        await store.ensure_container()
    assert (trouble.value.status, trouble.value.passing) == (403, False)
    await store.close()
