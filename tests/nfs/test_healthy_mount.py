"""The main job, and what the doctor says, on a real hard mount with the mount options of the manifests."""

from pathlib import Path

from tests.support import uml_server
from tests.support.children import child
from tests.support.content import KIB, MIB, Content, some_bytes
from tests.support.doctor import SMALL, ask_doctor
from tests.support.figures import Figure
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
    """StabilityTracker means quiet for longer than the writer's pauses, though the mount's attributes are cached for 5 s."""
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


# --- nfsw doctor


CALLS = ("link", "rename", "flock", "leases", "unlink")
#: Seconds for each call, in a guest with one processor.
TIMEOUT = 8


def test_a_healthy_mount_has_nothing_wrong(site: Site, tmp_path: Path) -> None:
    opinion = ask_doctor(tmp_path, site.settings(**SMALL))

    assert opinion.failed == set(), opinion
    assert {check: opinion.of(check) for check in opinion.checks if check.startswith("NFS")} == {
        f"NFS {check}": "ok" for check in ("root", "mount", "attribute cache", "folders", "mkdir", "write", "clock", "statx", *CALLS)
    }
    assert opinion.said("NFS mount").endswith("nfs4 4.1, hard")
    assert opinion.said("NFS attribute cache") == "folders are cached for up to 5 s"
    assert list((site.nfs / ".nfsw").iterdir()) == []


def test_a_server_that_is_away_is_told_in_time(site: Site, tmp_path: Path, figure: Figure) -> None:
    with uml_server.stopped():
        opinion = ask_doctor(tmp_path, site.settings(**SMALL), "--timeout", str(TIMEOUT))

    assert opinion.failed == {"NFS root"}
    assert opinion.said("NFS root") == f"no answer within {TIMEOUT} s"  # a hard mount lets a killed process go
    assert opinion.of("Azure delete") == "ok"
    figure(f"seconds for the doctor's opinion while the NFS server is away ({TIMEOUT} s for each check)", round(opinion.seconds, 1))
