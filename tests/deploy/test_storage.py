"""The volume that the pods share, and the collector's configuration: what the design decided, to the letter."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.kustomize import render
from tests.deploy.overlays import K3S, OVERLAYS, named, of_kind, pod, quantity, service_container

MOUNT_OPTIONS = ["hard", "nfsvers=4.1", "actimeo=5", "rsize=1048576", "wsize=1048576"]
OVER_NFS = [overlay for overlay in OVERLAYS if overlay != "colocated-nfs"]


@pytest.mark.parametrize("overlay", OVER_NFS)
def test_the_share_is_mounted_hard_over_nfs_4_1(overlay: str) -> None:
    volume = named(overlay, "PersistentVolume", "nfs-data-pv")["spec"]

    assert volume["mountOptions"] == MOUNT_OPTIONS
    assert volume["persistentVolumeReclaimPolicy"] == "Retain"
    assert volume["nfs"]["path"] == "/export/data"


def test_only_the_base_names_a_server_that_exists_nowhere() -> None:
    placeholder = {overlay: named(overlay, "PersistentVolume", "nfs-data-pv")["spec"]["nfs"]["server"] for overlay in OVER_NFS}

    assert [overlay for overlay, server in placeholder.items() if server.startswith("192.0.2.")] == ["base"]


def test_a_co_located_export_is_read_as_a_folder_and_has_to_be_there() -> None:
    volume = named("colocated-nfs", "PersistentVolume", "nfs-data-pv")["spec"]

    assert volume["hostPath"] == {"path": "/export/data", "type": "Directory"}
    assert "mountOptions" not in volume  # the API server refuses them on a hostPath


def test_several_sessions_are_several_pods_on_one_share() -> None:
    assert named("several-sessions", "Deployment", "nfsw")["spec"]["replicas"] > 1
    assert named("base", "Deployment", "nfsw")["spec"]["replicas"] == 1


def test_the_pods_of_several_sessions_fit_on_a_node_with_a_small_disk_also_in_a_rollout() -> None:
    """A pod whose request does not fit stays Pending. The kubelet keeps a part of the disk for itself."""
    deployment = named("several-sessions", "Deployment", "nfsw")["spec"]
    pods = deployment["replicas"] + deployment["strategy"]["rollingUpdate"]["maxSurge"]
    requests = service_container("several-sessions")["resources"]["requests"]

    assert pods * quantity(requests["ephemeral-storage"]) <= 200 * 2**30
    assert pods * quantity(requests["cpu"]) <= 1


@pytest.mark.parametrize("overlay", [overlay for overlay in OVERLAYS if overlay != "base"])
def test_what_the_manual_says_to_edit_is_in_each_overlay_and_counts(overlay: str, tmp_path: Path) -> None:
    """`cp -r` of the overlay, then site.env and, where the server is another machine, nfs-server.yaml."""
    shutil.copytree(K3S, tmp_path / "k3s")
    site = tmp_path / "k3s/overlays/site"
    shutil.copytree(OVERLAYS[overlay], site)
    _edit(site / "site.env", "https://changeme.blob.core.windows.net", "https://mine.blob.core.windows.net")
    if overlay != "colocated-nfs":
        _edit(site / "nfs-server.yaml", "192.168.1.10", "10.9.8.7")
    rendered = render(site)

    (settings,) = (one["data"] for one in rendered if one["kind"] == "ConfigMap" and one["metadata"]["name"].startswith("nfsw-settings"))
    assert settings["APP_AZURE_ACCOUNT_URL"] == "https://mine.blob.core.windows.net"
    (volume,) = (one["spec"] for one in rendered if one["kind"] == "PersistentVolume")
    assert "hostPath" in volume or volume["nfs"]["server"] == "10.9.8.7"


def _edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_the_collector_takes_otlp_and_every_part_of_its_pipelines_is_there() -> None:
    config = _collector()
    listening = {part.rpartition(":")[2] for part in _endpoints(config)}
    (container,) = pod(named("base", "DaemonSet", "otel-collector"))["containers"]

    assert set(config["service"]["pipelines"]) == {"traces", "metrics", "logs"}
    for pipeline in config["service"]["pipelines"].values():
        assert pipeline["receivers"] == ["otlp"]
        assert pipeline["processors"][0] == "memory_limiter"
        for part in ("receivers", "processors", "exporters"):
            assert set(pipeline[part]) <= set(config[part])
    assert set(config["service"]["extensions"]) == set(config["extensions"])
    assert listening == {str(port["containerPort"]) for port in container["ports"]}


def _collector() -> Any:
    (config,) = (one for one in of_kind("base", "ConfigMap") if "config.yaml" in one["data"])
    return yaml.safe_load(config["data"]["config.yaml"])


def _endpoints(config: Any) -> list[str]:
    protocols = config["receivers"]["otlp"]["protocols"].values()
    return [part["endpoint"] for part in (*protocols, config["exporters"]["prometheus"], config["extensions"]["health_check"])]
