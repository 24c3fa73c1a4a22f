"""The renderer that all other tests of the manifests rest on."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.kustomize import Unsupported, identity, render
from tests.deploy.overlays import K3S, OVERLAYS

KUSTOMIZATION = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"


def _no_kustomize() -> str | None:
    if shutil.which("kubectl") is None:
        return "kubectl is not installed"
    version = json.loads(subprocess.run(["kubectl", "version", "--client", "-o", "json"], capture_output=True, check=True).stdout)
    kustomize = version.get("kustomizeVersion", "v0")
    return None if kustomize.startswith("v5.") else f"kubectl carries kustomize {kustomize}, not v5"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_renderer_agrees_with_kustomize(overlay: str) -> None:
    if reason := _no_kustomize():
        pytest.skip(reason)
    theirs = subprocess.run(["kubectl", "kustomize", str(OVERLAYS[overlay])], capture_output=True, check=True).stdout

    assert {identity(one): one for one in render(OVERLAYS[overlay])} == {identity(one): one for one in yaml.safe_load_all(theirs)}


def test_the_overlays_are_those_that_the_manual_names() -> None:
    assert set(OVERLAYS) == {"base", "colocated-nfs", "remote-nfs", "several-sessions"}


@pytest.mark.parametrize(
    "more",
    [
        "namePrefix: x-\n",
        "patches:\n  - patch: '{}'\n",
        "images:\n  - {name: a, newName: b}\n",
        "configMapGenerator:\n  - {name: a, namespace: b, literals: [c=d]}\n",
        "configMapGenerator:\n  - {name: a, namespace: b, behavior: merge}\n",
    ],
)
def test_what_the_renderer_does_not_know_is_an_error(tmp_path: Path, more: str) -> None:
    (tmp_path / "kustomization.yaml").write_text(KUSTOMIZATION + more)

    with pytest.raises(Unsupported):
        render(tmp_path)


def test_a_changed_setting_gives_the_pods_a_config_map_of_another_name(tmp_path: Path) -> None:
    shutil.copytree(K3S, tmp_path / "k3s")
    overlay = tmp_path / "k3s/overlays/remote-nfs"
    before = _settings_of_the_pods(overlay)

    with (overlay / "site.env").open("a") as settings:
        settings.write("APP_WORKERS=2\n")

    assert _settings_of_the_pods(overlay) != before


def _settings_of_the_pods(overlay: Path) -> str:
    (deployment,) = (one for one in render(overlay) if one["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    name: str = container["envFrom"][0]["configMapRef"]["name"]
    return name
