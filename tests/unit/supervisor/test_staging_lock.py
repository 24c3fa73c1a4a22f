"""The lock on the staging folder: one service at a time, and none after its process has ended, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nfsw.supervisor.staging_lock import StagingTaken, lock_staging

_HOLDER = """
import subprocess, sys
from pathlib import Path
from nfsw.supervisor.staging_lock import lock_staging
lock_staging(Path(sys.argv[1]))
child = subprocess.Popen([sys.executable, "-c", "print('child', flush=True); input()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
input()
"""


def test_a_folder_has_one_service_at_a_time(tmp_path: Path) -> None:
    held = lock_staging(tmp_path)
    with pytest.raises(StagingTaken):
        lock_staging(tmp_path)
    os.close(held)
    os.close(lock_staging(tmp_path))


def test_a_folder_that_is_missing_is_made_and_nothing_is_written_into_it(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "staging"
    held = lock_staging(folder)
    assert list(folder.iterdir()) == []
    os.close(held)


def test_folders_of_their_own_do_not_meet(tmp_path: Path) -> None:
    for held in [lock_staging(tmp_path / name) for name in "ab"]:
        os.close(held)


def test_what_is_no_folder_cannot_be_locked(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="File exists"):
        lock_staging(tmp_path / "file")


def test_the_lock_ends_with_a_process_that_is_killed_though_a_child_of_it_lives_on(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        said = {holder.stdout.readline().strip() for _ in range(2)}
        [child] = [int(line) for line in said - {b"child"}]
        with pytest.raises(StagingTaken):
            lock_staging(tmp_path)
        holder.kill()
        holder.wait()
        os.kill(child, 0)  # it is there
        os.close(lock_staging(tmp_path))
        os.kill(child, signal.SIGKILL)
