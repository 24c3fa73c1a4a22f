"""A box on which the service works: everything is looked at, nothing is wrong, and nothing is left behind."""

from pathlib import Path

from tests.support.azurite import Endpoint
from tests.support.blobs import Container
from tests.support.content import some_bytes
from tests.support.doctor import SMALL, ask_doctor
from tests.support.identity import Identity
from tests.support.otlp import collector
from tests.support.service import run_nfsw
from tests.support.site import Site, files_below

CHECKS = [
    "settings",
    *(f"NFS {check}" for check in ("root", "mount", "attribute cache", "folders", "mkdir", "write", "clock")),
    *(f"NFS {check}" for check in ("statx", "link", "rename", "flock", "leases", "unlink")),
    *(f"staging {check}" for check in ("folder", "write", "room", "disk")),
    *(
        f"Azure {check}"
        for check in ("settings", "name", "connection", "credentials", "container", "write", "blocks", "read back", "delete")
    ),
    "OTLP",
]


def test_a_healthy_box_is_exit_0_and_nothing_is_left_on_it(site: Site, tmp_path: Path) -> None:
    opinion = ask_doctor(tmp_path, site.settings(**SMALL))

    assert list(opinion.checks) == CHECKS
    assert opinion.failed == set(), opinion
    assert opinion.warned <= {"NFS mount", "staging disk"}  # a test's folder is no NFS, and may be in memory
    assert opinion.exit_code == 0
    assert files_below(site.nfs) == files_below(site.staging) == set()
    assert not [name for name in (site.nfs / ".nfsw").iterdir() if name.name.startswith("doctor")]
    assert site.container.names() == set()


def test_it_says_a_line_for_each_check_and_one_for_each_that_needs_a_hand(site: Site, tmp_path: Path) -> None:
    done = run_nfsw(tmp_path, "doctor", settings=site.settings(**SMALL, APP_WORKER="8"))

    assert done.returncode == 0, done
    lines = done.stdout.splitlines()
    assert lines[0] == "warn  settings             unknown: APP_WORKER"
    assert lines[1].strip().startswith("remedy: ")
    assert [line[6:26].strip() for line in lines if not line.startswith(" ")] == CHECKS
    assert {line[:5].strip() for line in lines} <= {"ok", "warn", ""}


def test_it_does_not_disturb_a_service_that_runs(site: Site, tmp_path: Path) -> None:
    service = site.serve()
    service.start_session("s")
    site.write("s", "before.bin", some_bytes(1, 100_000))
    assert ask_doctor(tmp_path, site.settings(**SMALL)).exit_code == 0
    site.write("s", "after.bin", some_bytes(2, 100_000))
    site.all_arrived()
    assert {actor.restarts for actor in service.actors().values()} == {0}


def test_a_collector_is_asked_for_each_signal(site: Site, tmp_path: Path) -> None:
    with collector() as running:
        opinion = ask_doctor(tmp_path, site.settings(**SMALL, **running.settings))

    assert {check: opinion.of(check) for check in opinion.checks if check.startswith("OTLP")} == {
        "OTLP logs": "ok",
        "OTLP metrics": "ok",
        "OTLP traces": "ok",
    }
    assert running.requests == 3


def with_identity(site: Site, endpoint: Endpoint, identity: Identity) -> dict[str, str]:
    return site.settings(
        **SMALL,
        APP_AZURE_CONNECTION_STRING="",
        APP_AZURE_ACCOUNT_URL=endpoint.account_url,
        SSL_CERT_FILE=str(endpoint.authority),
        **identity.environment,
    )


def test_a_token_of_the_managed_identity_opens_the_account(site: Site, secured: Endpoint, identity: Identity, tmp_path: Path) -> None:
    opinion = ask_doctor(tmp_path, with_identity(site, secured, identity))

    assert opinion.said("Azure credentials") == "got a token"
    assert opinion.of("Azure delete") == "ok"
    assert opinion.exit_code == 0
    assert identity.given
    own = Container(secured, site.container.name)
    assert own.names() == set()
    own.close()


def test_an_identity_that_gets_no_token_is_named(site: Site, secured: Endpoint, identity: Identity, tmp_path: Path) -> None:
    identity.refuses = True
    opinion = ask_doctor(tmp_path, with_identity(site, secured, identity))

    assert opinion.failed == {"Azure credentials"}
    assert "Azure container" not in opinion.checks
