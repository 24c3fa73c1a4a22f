"""What a schema cannot see and the API server refuses, or takes and never starts: names that lead nowhere, sizes that contradict."""

import re
from collections import Counter
from typing import Any

import pytest

from tests.deploy.kustomize import identity
from tests.deploy.overlays import OVERLAYS, manifests, named, of_kind, pod, probes, quantity, workloads

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
CLUSTER_WIDE = {"Namespace", "PersistentVolume"}

pytestmark = pytest.mark.parametrize("overlay", OVERLAYS)


def test_every_object_has_a_name_of_its_own_in_a_namespace_that_is_there(overlay: str) -> None:
    namespaces = {one["metadata"]["name"] for one in of_kind(overlay, "Namespace")}

    for one in manifests(overlay):
        assert DNS_LABEL.fullmatch(one["metadata"]["name"])
        assert one["kind"] in CLUSTER_WIDE or one["metadata"]["namespace"] in namespaces
    assert max(Counter(map(identity, manifests(overlay))).values()) == 1


def test_every_workload_selects_its_own_pods_and_no_other_workloads(overlay: str) -> None:
    selectors = [one["spec"]["selector"]["matchLabels"] for one in workloads(overlay)]

    for one in workloads(overlay):
        labels = one["spec"]["template"]["metadata"]["labels"]
        assert [selector for selector in selectors if selector.items() <= labels.items()] == [one["spec"]["selector"]["matchLabels"]]


def test_every_service_finds_pods_and_the_port_that_it_names(overlay: str) -> None:
    for service in of_kind(overlay, "Service"):
        behind = [one for one in workloads(overlay) if _matches(service, one)]
        assert len(behind) == 1
        names = {port["name"] for container in pod(behind[0])["containers"] for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names


def test_every_probe_asks_a_port_that_its_container_has(overlay: str) -> None:
    for container in _containers(overlay):
        assert {probe["httpGet"]["port"] for probe in probes(container)} <= {port["name"] for port in container["ports"]}


def test_every_mount_has_its_volume_and_every_volume_its_source(overlay: str) -> None:
    for one in workloads(overlay):
        volumes = {volume["name"]: volume for volume in pod(one).get("volumes", [])}
        mounted = {mount["name"] for container in pod(one)["containers"] for mount in container["volumeMounts"]}
        assert mounted == set(volumes)
        for volume in volumes.values():
            match volume:
                case {"configMap": {"name": name}}:
                    assert named(overlay, "ConfigMap", name)
                case {"persistentVolumeClaim": {"claimName": name}}:
                    assert named(overlay, "PersistentVolumeClaim", name)
                case _:
                    assert set(volume) == {"name", "emptyDir"}


def test_the_claim_binds_to_the_volume_and_to_none_that_k3s_would_make(overlay: str) -> None:
    (claim,) = (one["spec"] for one in of_kind(overlay, "PersistentVolumeClaim"))
    volume = named(overlay, "PersistentVolume", claim["volumeName"])["spec"]

    assert claim["storageClassName"] == volume["storageClassName"] == ""
    assert claim["accessModes"] == volume["accessModes"] == ["ReadWriteMany"]
    assert quantity(claim["resources"]["requests"]["storage"]) <= quantity(volume["capacity"]["storage"])
    assert len({"nfs", "hostPath"} & set(volume)) == 1


def test_no_container_asks_for_more_than_its_limit(overlay: str) -> None:
    for container in _containers(overlay):
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]
        assert {"cpu", "memory"} <= set(requests) == set(limits)
        assert all(quantity(requests[name]) <= quantity(limits[name]) for name in requests)


def _matches(service: Any, workload: Any) -> bool:
    selector: dict[str, str] = service["spec"]["selector"]
    labels: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return selector.items() <= labels.items()


def _containers(overlay: str) -> list[Any]:
    return [container for one in workloads(overlay) for container in pod(one)["containers"]]
