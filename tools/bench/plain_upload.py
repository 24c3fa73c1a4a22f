"""The plain way to do it, as a peer for the benchmark: one process, `upload_blob` with the SDK's defaults, then the source is deleted.

`python -m tools.bench.plain_upload FOLDER CONTAINER PREFIX`, the connection string in AZURE_STORAGE_CONNECTION_STRING. No resume, no
proof of what arrived, no attempt after a failure but the SDK's own.
"""

import asyncio
import os
import sys
from pathlib import Path

from azure.storage.blob.aio import BlobServiceClient, ContainerClient

FILES_AT_A_TIME = 4
BLOCKS_AT_A_TIME = 8


async def upload_all(folder: Path, container: ContainerClient, prefix: str) -> None:
    with os.scandir(folder) as entries:
        waiting = iter([Path(entry.path) for entry in entries if entry.is_file()])

    async def upload_one_after_another() -> None:
        for path in waiting:
            with path.open("rb") as file:
                await container.upload_blob(f"{prefix}/{path.name}", file, overwrite=True, max_concurrency=BLOCKS_AT_A_TIME)
            path.unlink()

    async with asyncio.TaskGroup() as group:
        for _ in range(FILES_AT_A_TIME):
            group.create_task(upload_one_after_another())


async def main(folder: str, container: str, prefix: str) -> None:
    connection_string = os.environ["AZURE_STORAGE_CONNECTION_STRING"]
    async with (
        BlobServiceClient.from_connection_string(connection_string) as service,
        service.get_container_client(container) as client,
    ):
        await upload_all(Path(folder), client, prefix)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
