"""Writers that look finished when they are not: only the final bytes become final, and no file is stuck."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.support.content import MIB, Content, some_bytes
from tests.support.site import Site
from tests.support.writers import QUIET, WRITERS, Writer, why_not


def name_of(writer: Writer) -> str:
    return f"{writer.__name__}.bin"


@pytest.fixture(scope="module")
def site(module_site: Site) -> Site:
    module_site.serve(APP_MIN_FILE_AGE_S=str(QUIET)).start_session("s")
    return module_site


@pytest.fixture(scope="module")
def writing(site: Site) -> Iterator[dict[Writer, Future[None]]]:
    """All of them at work at the same time, in one folder."""
    content = {writer: some_bytes(seed, 6 * MIB) for seed, writer in enumerate(WRITERS) if why_not(writer) is None}
    for writer, whole in content.items():
        site.expect("s", name_of(writer), Content.of([whole]))
    with ThreadPoolExecutor(len(WRITERS)) as pool:
        yield {writer: pool.submit(writer, site.incoming("s") / name_of(writer), whole) for writer, whole in content.items()}


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.__name__)
def test_only_the_final_bytes_are_sent(site: Site, writing: dict[Writer, Future[None]], writer: Writer) -> None:
    if reason := why_not(writer):
        pytest.skip(reason)
    writing[writer].result()
    site.has_arrived("s", name_of(writer))


def test_nothing_else_is_sent_and_nothing_is_left(site: Site, writing: dict[Writer, Future[None]]) -> None:
    for writer in writing.values():
        writer.result()
    site.all_arrived()
