"""`make cluster-test` with a kubectl that plays a cluster: what it says, in which order it acts, and that nothing is left behind."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.deploy.overlays import CHECKOUT
from tests.deploy.schemas import problems, versions
from tools.cluster.commands import blocks
from tools.cluster.steps import STEPS
from tools.cluster.trial import Trial

MANUAL = (CHECKOUT / "docs/operations.md").read_text()
FAKE = Path(__file__).with_name("fake_kubectl.py")
IMAGES = ["--image", "example/nfsw:1", "--azurite-image", "example/azurite:1"]
NO_CLUSTER, INTERRUPTED = 3, 130


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    said: str
    asked: list[str]
    left: list[str]

    def results(self) -> dict[str, str]:
        """By step: ok, FAILED or not run."""
        rows = (re.match(rf"({name}) +(ok|FAILED|not run)", line) for line in self.said.splitlines() for name in [*STEPS, "taken down"])
        return {row[1]: row[2] for row in rows if row}


@dataclass(frozen=True, slots=True)
class Machine:
    """With a folder of programs of its own in front of the others."""

    folder: Path

    def run(self, *arguments: str, **environment: str) -> Ran:
        state = self.folder / "state.json"
        command = [sys.executable, "-m", "tools.cluster", *arguments]
        variables = {"PATH": f"{self.folder}:/usr/bin:/bin", "HOME": str(self.folder), "FAKE_KUBECTL": str(state), **environment}
        done = subprocess.run(command, cwd=CHECKOUT, env=variables, capture_output=True, text=True, check=False)
        seen = json.loads(state.read_text()) if state.exists() else {"asked": [], "namespaces": [], "volumes": []}
        return Ran(done.returncode, done.stdout + done.stderr, seen["asked"], seen["namespaces"] + seen["volumes"])


def _with_kubectl(folder: Path) -> Machine:
    kubectl = folder / "kubectl"
    kubectl.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {FAKE} "$@"\n')
    kubectl.chmod(0o755)
    return Machine(folder)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return _with_kubectl(tmp_path)


@pytest.fixture(scope="module")
def all_well(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A run in which nothing goes wrong."""
    return _with_kubectl(tmp_path_factory.mktemp("all-well")).run(*IMAGES)


def test_without_kubectl_one_line_says_so(tmp_path: Path) -> None:
    ran = Machine(tmp_path).run(PATH=str(tmp_path))

    assert (ran.code, ran.said) == (NO_CLUSTER, "cluster-test: nothing was tried: kubectl is not installed\n")


def test_without_a_cluster_one_line_says_so(machine: Machine) -> None:
    ran = machine.run(KUBECONFIG="/nowhere", FAKE_FAILS="version")

    assert ran.code == NO_CLUSTER
    assert re.fullmatch(r"cluster-test: nothing was tried: no cluster answers; KUBECONFIG is /nowhere; .+\n", ran.said)
    assert len(ran.asked) == 1


def test_every_step_goes_well_and_nothing_is_left(all_well: Ran) -> None:
    assert all_well.code == 0, all_well.said
    assert all_well.results() == dict.fromkeys([*STEPS, "taken down"], "ok")
    assert all_well.left == []


def test_the_manuals_commands_are_run_in_a_namespace_of_their_own(all_well: Ran) -> None:
    (name,) = set(re.findall(r"-n (\S+) ", "\n".join(all_well.asked)))
    order = [
        "apply -f k3s/base/namespace.yaml",
        f"-n {name} create secret generic nfsw-azure --from-literal=APP_AZURE_CONNECTION_STRING=",
        "apply -k k3s/overlays/site",
        f"-n {name} rollout status deployment/nfsw",
        f"-n {name} exec deployment/nfsw -- nfsw doctor",
        f"-n {name} exec deployment/nfsw -- nfsw start first",
        f"--namespace {name} delete pod nfsw-",
        f"-n {name} rollout restart deployment/nfsw",
        "nfsw start camera-2",
        f"-n {name} rollout undo deployment/nfsw",
        "delete -k k3s/overlays/site",
        f"delete namespace/{name} persistentvolume/{name} namespace/{name}-tools",
    ]

    places = [next(number for number, asked in enumerate(all_well.asked) if command in asked) for command in order]
    assert places == sorted(places)
    assert name.startswith("nfsw-test-")


def test_every_marked_block_of_the_manual_is_run(all_well: Ran) -> None:
    commands = {line.split("#")[0].strip() for name, block in blocks(MANUAL).items() if name != "non-root" for line in block.splitlines()}
    asked = [re.sub(r"nfsw-test-\w+", "nfsw", one) for one in all_well.asked]

    for command in (one for one in commands if one.startswith("kubectl ") and "'...'" not in one and "6d5f9c7b8" not in one):
        assert command.removeprefix("kubectl ") in asked


@pytest.mark.parametrize(
    ("command", "step"),
    [
        ("wait --for=condition=Ready", "install by the manual"),
        ("create secret", "install by the manual"),
        ("rollout restart", "rollout in mid-transfer"),
        ("rollout undo", "wrong settings"),
    ],
)
def test_after_a_failure_the_rest_is_not_run_and_everything_is_taken_down(machine: Machine, command: str, step: str) -> None:
    ran = machine.run(*IMAGES, FAKE_FAILS=command)
    names = list(STEPS)
    failed = names.index(step)

    assert ran.code == 1
    assert ran.results() == {
        **dict.fromkeys(names[:failed], "ok"),
        step: "FAILED",
        **dict.fromkeys(names[failed + 1 :], "not run"),
        "taken down": "ok",
    }
    assert f"the cluster says no to {command}" in ran.said
    assert ran.left == []


@pytest.mark.parametrize("command", ["create secret", "delete pod", "apply --kustomize"])
def test_after_an_interruption_everything_is_taken_down(machine: Machine, command: str) -> None:
    ran = machine.run(*IMAGES, FAKE_INTERRUPTS=command)

    assert ran.code == INTERRUPTED, ran.said
    assert ran.results()["taken down"] == "ok"
    assert ran.left == []


def test_what_cannot_be_removed_is_named(machine: Machine) -> None:
    ran = machine.run(*IMAGES, FAKE_FAILS="delete namespace/")

    assert ran.code == 1
    assert ran.results()["taken down"] == "FAILED"
    assert re.search(r"left: namespace/nfsw-test-\w+-tools$", ran.said, re.MULTILINE)


def test_an_image_that_cannot_be_built_ends_it_before_it_begins(machine: Machine) -> None:
    for engine in ("docker", "podman"):
        (machine.folder / engine).write_text("#!/bin/sh\nexit 1\n")
        (machine.folder / engine).chmod(0o755)
    ran = machine.run()

    assert ran.code == 2
    assert "neither docker nor podman works here" in ran.said
    assert ran.left == []


def test_a_marker_without_a_block_or_with_a_name_that_is_used_twice_is_an_error() -> None:
    marked = "<!-- cluster-test: a -->\n```sh\nls\n```\n"

    assert blocks(marked) == {"a": "ls\n"}
    for wrong in (marked + marked, "<!-- cluster-test: a -->\n\n```sh\nls\n```\n"):
        with pytest.raises(ValueError, match="marker"):
            blocks(wrong)


@pytest.mark.parametrize("server", [None, "10.9.8.7"])
def test_what_is_applied_is_valid_and_has_nothing_in_common_with_a_real_installation(tmp_path: Path, server: str | None) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    manual = blocks(MANUAL)
    trial = Trial("nfsw-test-1", "example/nfsw:1", "example/azurite:1", server, "/srv", manual, tmp_path)
    trial.edit_site(manual["non-root"].replace("namespace: nfsw", "namespace: nfsw-test-1"), replicas=3, APP_WORKERS="2")
    rendered = subprocess.run(
        ["kubectl", "kustomize", "k3s/overlays/site"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    manifests = list(yaml.safe_load_all(rendered))
    named = {one["kind"]: one for one in manifests}

    assert [problem for one in manifests for problem in problems(one, versions()[-1])] == []
    assert {one["metadata"].get("namespace", "nfsw-test-1") for one in manifests} == {"nfsw-test-1"}
    assert {named[kind]["metadata"]["name"] for kind in ("Namespace", "PersistentVolume")} == {"nfsw-test-1"}
    assert "DaemonSet" not in named
    volume = named["PersistentVolume"]["spec"]
    assert (volume["nfs"] if server else volume["hostPath"])["path"] == "/srv/nfsw-test-1"
    deployment = named["Deployment"]["spec"]
    (container,) = deployment["template"]["spec"]["containers"]
    assert (deployment["replicas"], container["image"]) == (3, "example/nfsw:1")
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": []}
