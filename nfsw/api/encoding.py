"""Values as JSON. Main process. Nothing is validated on the way: the status goes out once a second to everybody who watches."""

import json
import re
from dataclasses import replace

import msgspec
from fastapi.responses import JSONResponse

from nfsw.supervisor.status import Status

#: A byte of a file name that is not UTF-8, as the operating system's names have it in a `str`.
_ODD_BYTE = re.compile("[\udc80-\udcff]")


class Json(JSONResponse):
    """A dataclass as the body of an answer."""

    def __init__(self, content: object, status_code: int = 200) -> None:
        super().__init__(content, status_code, {"Cache-Control": "no-store"})

    def render(self, content: object) -> bytes:
        return to_json(content)


def to_json(value: object) -> bytes:
    if isinstance(value, Status) and value.session:
        whole_second = value.session.started_at.replace(microsecond=0)
        value = replace(value, session=replace(value.session, started_at=whole_second))
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # JSON cannot carry an odd byte: it becomes the text `\xff`
        text = json.dumps(msgspec.to_builtins(value), ensure_ascii=False, separators=(",", ":"))
        return _ODD_BYTE.sub(lambda byte: rf"\\x{ord(byte[0]) - 0xDC00:02x}", text).encode()
