"""The volume that the pods share, and the collector's configuration: what the design decided, to the letter."""

from typing import Any

import pytest
import yaml

from tests.deploy.overlays import OVERLAYS, named, of_kind, pod

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
