"""Folders in a session: files keep their paths, empty folders go, and what cannot be taken is said; with the real service."""

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.support.content import KIB, MIB
from tests.support.figures import Figure
from tests.support.recordings import Recordings
from tests.support.service import Service, run_nfsw
from tests.support.site import Site
from tests.support.waiting import until

FULL = bool(os.environ.get("NFSW_FULL"))
RECURSIVE = {"APP_RECURSIVE": "true"}
IN_BLOCKS = {"APP_AZURE_MAX_SINGLE_PUT_SIZE": str(64 * KIB), "APP_AZURE_MAX_BLOCK_SIZE": str(256 * KIB)}


def written(site: Site, name: str, content: bytes) -> Path:
    (site.incoming("s") / name).parent.mkdir(parents=True, exist_ok=True)
    return site.write("s", name, content)


def folders_of(site: Site) -> set[str]:
    """What is left of the session's folders, wherever their files were on their way."""
    tops = [site.incoming("s"), *(site.nfs / ".processing").glob("*/s"), *(site.nfs / ".nfsw/aside/s").glob("*")]
    return {str(path.relative_to(site.nfs)) for top in tops for path in top.rglob("*")}


def refusals(service: Service) -> dict[str, str]:
    return {one["file"]: one["reason"] for one in service.status()["refused"]}


def test_files_keep_their_paths_and_the_folders_that_they_leave_empty_go(site: Site) -> None:
    service = site.serve(**RECURSIVE)
    service.start_session("s")
    for name in ("top.bin", "a/one.bin", "a/b/c/deep.bin", "a/ä ö/?#&%.bin"):
        written(site, name, name.encode())
    (site.incoming("s") / "never used/at all").mkdir(parents=True)
    site.all_arrived()
    assert {name.split("/", 2)[2] for name in site.container.names()} == {"top.bin", "a/one.bin", "a/b/c/deep.bin", "a/ä ö/?#&%.bin"}
    until(lambda: not folders_of(site), within=30, what=lambda: f"no folder is left: {folders_of(site)}\n{site.report()}")
    assert site.incoming("s").is_dir()
    assert {line["file_name"] for line in service.log() if line["message"].startswith("in Azure and deleted")} >= {"a/b/c/deep.bin"}


def test_markers_in_folders_go_with_their_files(site: Site) -> None:
    site.serve(**RECURSIVE, APP_DONE_SUFFIX=".done").start_session("s")
    for name in ("a/one.mcap", "a/b/two.mcap"):
        written(site, name, name.encode())
        (site.incoming("s") / f"{name}.done").touch()
    site.all_arrived()
    until(lambda: not folders_of(site), within=30, what=lambda: f"no folder is left: {folders_of(site)}\n{site.report()}")


def test_without_the_setting_folders_are_left_alone_and_what_was_claimed_in_them_is_finished(site: Site) -> None:
    service = site.serve()
    service.start_session("s")
    folder = site.incoming("s") / "a"
    folder.mkdir()
    (folder / "b.bin").write_bytes(b"stays")
    (site.incoming("s") / "empty").mkdir()
    claimed = site.processing("s") / "x/y"
    claimed.mkdir(parents=True)
    (claimed / "z.bin").write_bytes(b"claimed before the setting was taken back")
    site.write("s", "c.bin", b"taken")
    until(lambda: len(site.container.names()) == 2, within=30, what=site.report)
    assert {name.split("/", 1)[1] for name in site.container.names()} == {"s/c.bin", "s/x/y/z.bin"}
    until(lambda: not (site.processing("s") / "x").exists(), within=30, what="its folders are gone")
    assert (folder / "b.bin").read_bytes() == b"stays"
    assert (site.incoming("s") / "empty").is_dir()
    assert refusals(service) == {}


def test_a_hostile_tree_is_refused_with_reasons_and_holds_up_nothing(site: Site) -> None:
    service = site.serve(**RECURSIVE)
    top = site.incoming("s")
    service.start_session("s")
    (top / "loop").symlink_to(".")
    (top / "a").mkdir()
    (top / "a/up").symlink_to("..")
    (top / "a/passwd").symlink_to("/etc/passwd")
    (top / "/".join(["deep"] * 40)).mkdir(parents=True)
    for name in ("dot.", "x.completed", "back\\slash"):
        (top / name).mkdir()
        (top / name / "file").write_bytes(b"stays")
    written(site, "a/good.bin", b"good")
    until(site.container.names, within=30, what=site.report)
    expected = {"loop", "a/up", "a/passwd", "dot.", "x.completed", "back\\slash", "/".join(["deep"] * 33)}
    until(lambda: set(refusals(service)) == expected, within=30, what=lambda: str(refusals(service)))
    assert [name.split("/", 1)[1] for name in site.container.names()] == ["s/a/good.bin"]
    assert (top / "dot./file").read_bytes() == b"stays"
    assert len([line for line in service.log() if line["message"].startswith("refused")]) == len(expected), "each is logged once"


def test_a_claimed_file_of_a_folder_is_named_and_abandoned_by_its_path(site: Site) -> None:
    folder = site.processing("s", "20260131") / "run 1/a"
    folder.mkdir(parents=True)
    (folder / "large.bin").write_bytes(bytes(MIB))
    service = site.serve(APP_STAGING_LIMIT_BYTES=str(MIB // 2))
    until(lambda: "run 1/a/large.bin" in refusals(service), within=30, what=site.report)
    assert run_nfsw(site.folder, "abandon", "s", "run 1/a/large.bin", "--url", service.url).returncode == 0
    until(lambda: refusals(service)["run 1/a/large.bin"].startswith("abandoned"), within=30, what="the status says so")
    assert (site.nfs / ".nfsw/abandoned/20260131/s/run 1/a/large.bin").exists()
    assert "run 1/a/large.bin" in run_nfsw(site.folder, "status", "--url", service.url).stdout


@pytest.mark.timeout(1800 if FULL else 300)
def test_recordings_that_are_written_while_processes_are_killed_arrive_whole_and_leave_no_folder(site: Site, figure: Figure) -> None:
    """`NFSW_FULL=1`: 2,000 files in 300 folders."""
    files, folders, seconds, pause_s = (2000, 300, 240.0, 4.0) if FULL else (66, 33, 8.0, 2.0)
    recordings = Recordings(site, files, folders, seconds, seed=12)
    assert recordings.made_of(recordings.plan()) == folders
    settings = {**RECURSIVE, **IN_BLOCKS, "APP_HANG_TIMEOUT_S": "10"}
    service = site.serve(**settings)
    service.start_session("s")
    begun = time.monotonic()
    writing = threading.Thread(target=recordings.write)
    writing.start()
    chance, kills, ends, actors = random.Random(7), 0, 0, 0
    while writing.is_alive():
        writing.join(chance.uniform(0.5, 1.5) * pause_s)
        kills += 1
        if kills % 5 == 0 or service.exit_code() is not None:
            ends += 1
            service.crash() if kills % 2 else service.leave_nothing()
            service = site.serve(**settings)
        elif victims := list(service.actors().values()):
            actors += 1
            os.kill(chance.choice(victims).pid, signal.SIGKILL)
    took = time.monotonic() - begun
    site.all_arrived(within=300)
    until(lambda: not folders_of(site), within=120, what=lambda: f"no folder is left: {folders_of(site)}\n{site.report()}")
    assert len(site.container.names()) == files
    assert site.incoming("s").is_dir()
    figure("recordings: files, folders, seconds of writing", (files, folders, round(took, 1)))
    figure("recordings: actors killed, services killed, folders made again", (actors, ends, recordings.remade))
    figure("recordings: seconds until all was in Azure and no folder was left", round(time.monotonic() - begun, 1))
