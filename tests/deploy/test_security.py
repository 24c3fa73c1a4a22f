"""What the pods may do: no more than moving files takes."""

from typing import Any

import pytest

from tests.deploy.overlays import OVERLAYS, named, of_kind, pod, service_container, service_pod, workloads

pytestmark = pytest.mark.parametrize("overlay", OVERLAYS)

#: Of what the Pod Security Standards let a "baseline" pod add, the part that has to do with files and their owners.
BASELINE = {"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID"}


def test_no_pod_has_a_token_for_the_api_server_or_a_place_on_its_node(overlay: str) -> None:
    for one in workloads(overlay):
        assert pod(one)["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod(one))
        assert not any("hostPath" in volume for volume in pod(one)["volumes"])


def test_every_container_has_a_read_only_root_and_cannot_gain_rights(overlay: str) -> None:
    for context in _contexts(overlay):
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"]["drop"] == ["ALL"]
        assert not context.get("privileged")


def test_every_pod_runs_under_the_default_seccomp_profile(overlay: str) -> None:
    assert all(pod(one)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"} for one in workloads(overlay))


def test_the_service_is_root_with_the_capabilities_that_its_file_system_asks_for(overlay: str) -> None:
    volume = named(overlay, "PersistentVolume", "nfs-data-pv")["spec"]
    expected = {"FOWNER", "SETUID"} if "nfs" in volume else {"DAC_OVERRIDE", "FOWNER", "SETUID"}

    assert service_pod(overlay)["securityContext"]["runAsUser"] == 0
    assert set(service_container(overlay)["securityContext"]["capabilities"]["add"]) == expected


def test_the_namespace_holds_pods_to_the_baseline_and_they_keep_to_it(overlay: str) -> None:
    (namespace,) = of_kind(overlay, "Namespace")

    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "baseline"
    assert {capability for context in _contexts(overlay) for capability in context["capabilities"].get("add", [])} <= BASELINE


def test_the_only_place_to_write_besides_nfs_is_staging(overlay: str) -> None:
    writable = {mount["mountPath"] for mount in service_container(overlay)["volumeMounts"] if not mount.get("readOnly")}

    assert writable == {"/mnt/nfs", "/var/lib/nfsw/staging"}


def test_secrets_come_by_reference(overlay: str) -> None:
    sources = [source["secretRef"] for source in service_container(overlay)["envFrom"] if "secretRef" in source]

    assert sources == [{"name": "nfsw-azure", "optional": True}]
    assert not of_kind(overlay, "Secret")


def _contexts(overlay: str) -> list[Any]:
    return [container["securityContext"] for one in workloads(overlay) for container in pod(one)["containers"]]
