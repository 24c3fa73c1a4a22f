"""Where things lie: pure functions over names."""

import os

import pytest
from hypothesis import given

from nfsw.actors.files import Arrival, File, FileRef
from nfsw.actors.tree import NfsTree, StagingTree, is_date
from tests.unit.actors.test_names import file_names

TREE = NfsTree("/mnt/nfs")
STAGING = StagingTree("/staging")


def test_the_paths_of_the_contract() -> None:
    assert TREE.source(Arrival("s", "a.bin")) == "/mnt/nfs/incoming/s/a.bin"
    assert TREE.source(FileRef("20260131", "s", "a.bin")) == "/mnt/nfs/.processing/20260131/s/a.bin"
    assert TREE.completed(FileRef("20260131", "s", "a.bin")) == "/mnt/nfs/.processing/20260131/s/a.bin.completed"
    assert FileRef("20260131", "s", "a.bin").blob == "20260131/s/a.bin"


@given(file_names(), file_names())
def test_no_two_files_share_a_path(one: str, other: str) -> None:
    files: set[File] = {Arrival("s", one), FileRef("20260131", "s", one), FileRef("20260131", "s", other), FileRef("20260130", "s", one)}
    paths = [path for file in files for path in _paths(file)]
    assert len(set(paths)) == len(paths)


@given(file_names())
def test_a_path_leads_back_to_its_name(name: str) -> None:
    file = FileRef("20260131", "s", name)
    for path in (TREE.source(file), STAGING.copy(file), STAGING.manifest(file)):
        assert os.path.split(path)[1] == name
        assert os.path.normpath(path) == path


@pytest.mark.parametrize("name", ["20260131", "00000000", "99999999"])
def test_eight_digits_are_a_date(name: str) -> None:
    assert is_date(name)


@pytest.mark.parametrize("name", ["", "2026", "202601311", "2026-1-3", ".nfs0001", "20260131\n", " 20260131", "२०२६०१३१", "aside"])
def test_anything_else_is_not(name: str) -> None:
    assert not is_date(name)


def test_a_path_is_shown_below_the_root_and_safe_to_print() -> None:
    assert TREE.printable("/mnt/nfs/incoming/s/a\nb") == "incoming/s/a\\x0ab"
    assert TREE.printable("/mnt/nfs") == "/mnt/nfs"


def _paths(file: File) -> list[str]:
    match file:
        case Arrival():
            return [TREE.source(file)]
        case FileRef():
            return [TREE.source(file), STAGING.copy(file), STAGING.manifest(file)]
