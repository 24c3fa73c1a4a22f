"""`nfsw doctor` on a real hard mount with the mount options of the manifests, and with its server away."""

from pathlib import Path

from tests.support import uml_server
from tests.support.doctor import SMALL, ask_doctor
from tests.support.figures import Figure
from tests.support.site import Site


def test_a_healthy_mount_has_nothing_wrong(site: Site, tmp_path: Path) -> None:
    opinion = ask_doctor(tmp_path, site.settings(**SMALL))

    assert opinion.failed == set(), opinion
    assert {check: opinion.of(check) for check in opinion.checks if check.startswith("NFS")} == {
        f"NFS {check}": "ok"
        for check in (
            "root",
            "mount",
            "attribute cache",
            "folders",
            "mkdir",
            "write",
            "clock",
            "statx",
            "link",
            "rename",
            "flock",
            "leases",
            "unlink",
        )
    }
    assert opinion.said("NFS mount").endswith("nfs4 4.1, hard")
    assert opinion.said("NFS attribute cache") == "folders are cached for up to 5 s"
    assert list((site.nfs / ".nfsw").iterdir()) == []


def test_a_server_that_is_away_is_told_in_time(site: Site, tmp_path: Path, figure: Figure) -> None:
    with uml_server.stopped():
        opinion = ask_doctor(tmp_path, site.settings(**SMALL), "--timeout", "3")

    assert opinion.failed == {"NFS root"}
    assert opinion.said("NFS root") == "no answer within 3 s"  # a hard mount lets a killed process go
    assert opinion.of("Azure delete") == "ok"
    figure("seconds for the doctor's opinion while the NFS server is away (3 s for each check)", round(opinion.seconds, 1))
