"""What each blob gets besides its content: an access tier, and index tags. Uploader process.

Tags need a right of their own, and some kinds of account have none. A file is never kept from Azure for want of a tag: where a request
is refused with tags and done without them, they are left out from then on.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from azure.core.exceptions import HttpResponseError
from azure.storage.blob import StandardBlobTier

log = logging.getLogger("nfsw.uploader")

#: How the service refuses what it does not know, or what the credentials may not do.
_REFUSED = (400, 403)


class BlobOptions:
    def __init__(self, tier: str | None, tags: tuple[str, ...]) -> None:
        """`tier`: "Hot", "Cool" or "Cold"; None: the account's own. `tags`: each is `name=value`, in which `{session}` and `{date}` stand
        for those of the blob's name.
        """
        self._tier: dict[str, Any] = {"standard_blob_tier": StandardBlobTier[tier.upper()]} if tier else {}
        self._tags = tags

    async def applied[T](self, blob: str, write: Callable[[dict[str, Any]], Awaitable[T]]) -> T:
        """Makes the blob: `write` is given the SDK's options for it. Raises what the SDK raises."""
        if not self._tags:
            return await write(self._tier)
        date, session, _ = blob.split("/", 2)
        filled = (tag.replace("{session}", session).replace("{date}", date) for tag in self._tags)
        tags = {name: value for name, _, value in (tag.partition("=") for tag in filled)}
        try:
            return await write(self._tier | {"tags": tags})
        except HttpResponseError as refused:
            if refused.status_code not in _REFUSED:
                raise
            made = await write(self._tier)
            log.error("blob tags are refused: %s; blobs are written without tags from now on", refused.reason or refused.status_code)
            self._tags = ()
            return made
