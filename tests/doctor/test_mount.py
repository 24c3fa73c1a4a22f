"""What /proc/self/mountinfo says of a folder, in lines as kernels write them."""

import re
from functools import partial
from pathlib import Path

import pytest

from nfsw.actors.mount import UnknownMount, among, mount_of
from nfsw.doctor import check
from nfsw.doctor.check import Problem, Severity
from nfsw.doctor.local import disk
from nfsw.doctor.nfs import Share

LINES = (
    "22 27 0:20 / / rw,relatime - ext4 /dev/root rw,errors=remount-ro",
    "30 22 0:25 /share /mnt/nfs rw,relatime shared:7 - nfs4 10.0.0.1:/export/data "
    "rw,vers=4.1,rsize=1048576,wsize=1048576,namlen=255,acregmin=5,acregmax=5,acdirmin=5,acdirmax=5,hard,proto=tcp",
    r"31 22 0:26 / /mnt/with\040space ro,relatime - tmpfs tmpfs rw",
    "32 22 0:27 / /mnt/nfsother rw - tmpfs other rw",
)


def test_the_mount_that_lies_deepest_on_the_way_is_it() -> None:
    mount = among(LINES, "/mnt/nfs/incoming/s1")

    assert (mount.point, mount.kind, mount.source, mount.is_nfs) == ("/mnt/nfs", "nfs4", "10.0.0.1:/export/data", True)
    assert mount.options["vers"] == "4.1"
    assert mount.options["acdirmax"] == "5"
    assert mount.options["hard"] == ""


def test_a_name_that_only_begins_the_same_is_another() -> None:
    assert among(LINES, "/mnt/nfs2").point == "/"
    assert among(LINES, "/mnt/nfsother").source == "other"


def test_escaped_characters_are_themselves() -> None:
    mount = among(LINES, "/mnt/with space/folder")

    assert mount.point == "/mnt/with space"
    assert "ro" in mount.options


def test_the_last_of_two_on_one_point_hides_the_first() -> None:
    assert among((*LINES, "33 30 0:28 / /mnt/nfs rw - tmpfs above rw"), "/mnt/nfs").source == "above"


def test_the_kernel_of_this_machine_is_understood() -> None:
    assert mount_of("/proc/self").kind == "proc"


def test_a_folder_above_which_nothing_is_mounted_is_unknown() -> None:
    """As in a chroot: its root is a folder of a mount that is not listed there."""
    with pytest.raises(UnknownMount, match="/srv/nfs"):
        among([line for line in LINES if " / / " not in line], "/srv/nfs")


def test_an_unknown_mount_is_a_warning_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(path: str) -> None:
        raise UnknownMount(path)

    monkeypatch.setattr(check, "mount_of", unknown)
    share = Share(str(tmp_path))
    for call in (share.mount, share.cache, partial(disk, str(tmp_path))):
        with pytest.raises(Problem, match=re.escape(str(tmp_path))) as problem:
            call()
        assert problem.value.severity is Severity.WARN
        assert "findmnt" in problem.value.remedy
