"""The main job on a real hard mount with the mount options of the manifests."""

from tests.support.children import child
from tests.support.content import KIB, MIB, Content, some_bytes
from tests.support.site import QUICK, Site

SIZES = (0, 1, 4 * KIB, MIB - 1, MIB, 5 * MIB + 3, 40 * MIB)
NAMES = ("plain.bin", "with space", "per%cent%20", "hash#mark?", "\u00fcml\u00e4ut", "\U0001f600", "quote'\"")

#: A writer on the same node as the service: through the same client, in pieces, with the file open in between.
_WRITER = """
import sys, time
with open(sys.argv[1], "wb", buffering=0) as file:
    for number in range(8):
        file.write(bytes([number]) * 100_000)
        time.sleep(0.1)
print("written")
"""


def test_files_of_all_sizes_and_names_arrive(site: Site) -> None:
    site.serve().start_session("s")
    for number, (name, size) in enumerate(zip(NAMES, SIZES, strict=True)):
        site.write("s", name, some_bytes(number, size))
    site.all_arrived(within=120)


def test_a_writer_on_the_same_node_has_its_last_bytes_sent(site: Site) -> None:
    """Quiet means quiet for longer than the writer's pauses, though the mount's attributes are cached for 5 s."""
    site.serve(**QUICK | {"APP_MIN_FILE_AGE_S": "1"}).start_session("s")
    path = site.seen_at / "incoming/s/slow.bin"
    path.parent.mkdir(parents=True, exist_ok=True)
    with child(_WRITER, path) as writer:
        site.expect("s", "slow.bin", Content.of(bytes([number]) * 100_000 for number in range(8)))
        assert writer.says() == "written"
        site.all_arrived()


def test_a_writer_on_another_node_has_its_last_bytes_sent(site: Site) -> None:
    """Its writes reach the server behind this client's caches."""
    site.serve(**QUICK | {"APP_MIN_FILE_AGE_S": "1"}).start_session("s")
    path = site.incoming("s") / "slow.bin"
    with child(_WRITER, path) as writer:
        site.expect("s", "slow.bin", Content.of(bytes([number]) * 100_000 for number in range(8)))
        assert writer.says() == "written"
        site.all_arrived()
