"""Names as no instrument gives them, by Hypothesis: each file is in Azure under its very name, or stays where it is with a reason."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.content import Content
from tests.support.figures import Figure
from tests.support.service import Service
from tests.support.site import Site, utc_date
from tests.support.waiting import until

#: A file system takes each byte but these two.
_NO_NAME = bytes.maketrans(b"/\0", b"_0")
_PIECES = [
    b"..",
    b".",
    b" ",
    b"\n",
    b"\r",
    b"\\",
    b"%2F",
    b"%",
    b"?",
    b"#",
    b"&",
    b"+",
    b"'",
    b'"',
    b"a",
    b"A",
    b"~",
    b"-",
    b"\x7f",
    b"\xff",
]
_PIECES += [b"\x7f", b"\xff", b".completed", b".nfs", b".bin", b"data:", b"$", b"*", b"|", b"\xc3", b"\xed\xa0\x80"]
_PIECES += [
    text.encode()
    for text in ("\u00e4", "a\u0308", "\u65e5\u672c", "\u202e", "\u00a0", "\u2028", "\ufeff", "\U0001f600", "\ufffe", "\u0130")
]

raw = st.binary(min_size=1, max_size=24).map(lambda name: name.translate(_NO_NAME))
pieced = st.lists(st.sampled_from(_PIECES), min_size=1, max_size=10).map(b"".join)
long = st.tuples(st.sampled_from(_PIECES), st.integers(200, 255)).map(lambda drawn: (drawn[0] * 255)[: drawn[1]])
plain = st.from_regex(rb"[A-Za-z0-9_ #?%&+~-]{0,20}[A-Za-z0-9_]", fullmatch=True)
names = st.one_of(raw, pieced, long, plain).filter(lambda name: name not in (b".", b".."))
#: What has nothing odd about it but for signs that mean something in a URL, and leaves room for `.completed`.
_PLAIN = re.compile(rb"[A-Za-z0-9_ #?%&+~-]{0,244}[A-Za-z0-9_]")


@dataclass(slots=True)
class Seen:
    service: Service
    site: Site
    sent: set[bytes] = field(default_factory=set)
    refused: set[bytes] = field(default_factory=set)
    completed: int = 0


@pytest.fixture(scope="module")
def seen(module_site: Site) -> Seen:
    service = module_site.serve()
    service.start_session("s")
    return Seen(service, module_site)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(batch=st.sets(names, min_size=30, max_size=40))
def test_a_file_is_sent_under_its_very_name_or_stays_and_is_told(seen: Seen, batch: set[bytes]) -> None:
    folder = os.fsencode(seen.site.incoming("s"))
    for name in batch:
        Path(os.fsdecode(os.path.join(folder, name))).write_bytes(b"content of " + name)

    def told() -> set[bytes] | None:
        left = set(os.listdir(folder))
        refused = {name for name in left if not name.startswith(b".")}
        counts = seen.service.status()["files"]
        settled = (counts["refused"], counts["completed"]) == (len(refused), seen.completed + len(batch - left))
        return left if settled and left <= batch else None

    until(lambda: told() is not None, within=60, what=seen.site.report)
    left = told()
    assert left is not None, "and it stays so"
    assert not {name for name in left if _PLAIN.fullmatch(name)}
    seen.sent |= batch - left
    seen.refused |= left
    seen.completed += len(batch - left)
    for name in left:
        path = Path(os.fsdecode(os.path.join(folder, name)))
        assert path.read_bytes() == b"content of " + name
        path.unlink()
    until(lambda: seen.service.status()["files"]["refused"] == 0, within=30, what="what is gone is not told any more")


def test_then_each_blob_has_the_name_and_the_bytes_of_its_file_and_there_is_no_other(seen: Seen, figure: Figure) -> None:
    prefix = f"{utc_date()}/s/"
    assert set(seen.site.container.names()) == {prefix + name.decode() for name in seen.sent}
    for name in seen.sent:
        assert seen.site.container.read(prefix + name.decode()).content == Content.of([b"content of " + name])
    figure("names: sent, refused or ignored", (len(seen.sent), len(seen.refused)))
