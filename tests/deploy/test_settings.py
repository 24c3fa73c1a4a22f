"""The manifests beside the service's own settings: every name is one, every value is taken, and the figures fit together."""

import pytest

from nfsw import settings
from nfsw.settings import Settings
from tests.deploy.overlays import OVERLAYS, environment, named, of_kind, probes, quantity, service_container, service_pod

pytestmark = pytest.mark.parametrize("overlay", OVERLAYS)

MIB = 2**20
#: What five interpreters, their libraries and everything but block buffers take, in bytes, with room.
INTERPRETERS = 256 * MIB


@pytest.fixture
def configured(overlay: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in environment(overlay).items():
        monkeypatch.setenv(name, value or "a-pod")
    return settings.load()


def test_every_app_variable_is_a_setting(overlay: str) -> None:
    assert settings.unknown(environment(overlay)) == []


def test_no_secret_stands_in_a_config_map(overlay: str) -> None:
    keys = {key for one in of_kind(overlay, "ConfigMap") for key in one["data"]}

    assert not keys & {"APP_AZURE_CONNECTION_STRING", "AZURE_CLIENT_SECRET"}


def test_paths_and_port_are_those_of_the_container(configured: Settings, overlay: str) -> None:
    container = service_container(overlay)

    assert {str(configured.nfs_root), str(configured.staging_dir)} == {mount["mountPath"] for mount in container["volumeMounts"]}
    assert container["ports"] == [{"name": "http", "containerPort": configured.port}]


def test_a_pod_is_the_holder_of_its_session_under_its_own_name(overlay: str) -> None:
    (variable,) = (one for one in service_container(overlay)["env"] if one["name"] == "APP_POD_NAME")

    assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.name"}}


def test_the_api_may_be_called_by_every_name_of_its_service(configured: Settings, overlay: str) -> None:
    metadata = named(overlay, "Service", "nfsw")["metadata"]
    short = f"{metadata['name']}.{metadata['namespace']}"

    assert {metadata["name"], short, f"{short}.svc", f"{short}.svc.cluster.local"} <= configured.hosts


def test_telemetry_goes_to_the_collector_of_the_same_node_and_says_where_it_comes_from(overlay: str) -> None:
    variables = environment(overlay)
    host, _, port = variables["OTEL_EXPORTER_OTLP_ENDPOINT"].removeprefix("http://").partition(":")
    collector = named(overlay, "Service", host)["spec"]

    assert int(port) in {one["port"] for one in collector["ports"] if one["name"] == "otlp-http"}
    assert collector["internalTrafficPolicy"] == "Local"
    assert "k8s.pod.name=$(APP_POD_NAME)" in variables["OTEL_RESOURCE_ATTRIBUTES"].split(",")


def test_staging_stays_clear_of_every_limit_that_would_evict_the_pod(configured: Settings, overlay: str) -> None:
    (volume,) = (one for one in service_pod(overlay)["volumes"] if one["name"] == "staging")
    size_limit = quantity(volume["emptyDir"]["sizeLimit"])
    resources = service_container(overlay)["resources"]

    assert configured.staging_limit_bytes <= 0.9 * size_limit
    assert size_limit < quantity(resources["limits"]["ephemeral-storage"])
    assert configured.staging_limit_bytes <= quantity(resources["requests"]["ephemeral-storage"])


def test_the_memory_limit_holds_the_processes_and_as_much_again_for_what_they_send(overlay: str) -> None:
    assert quantity(service_container(overlay)["resources"]["limits"]["memory"]) >= 2 * INTERPRETERS


def test_the_probes_are_the_decided_ones(overlay: str) -> None:
    container = service_container(overlay)
    health = {"httpGet": {"path": "/healthz", "port": "http"}, "timeoutSeconds": 5}

    assert container["livenessProbe"] == health | {"periodSeconds": 10, "failureThreshold": 3}
    assert container["startupProbe"] == health | {"periodSeconds": 5, "failureThreshold": 24}
    assert container["readinessProbe"] == {"httpGet": {"path": "/readyz", "port": "http"}}
    assert all(probe.get("timeoutSeconds", 1) <= probe.get("periodSeconds", 10) for probe in probes(container))


def test_the_pod_is_restarted_only_after_the_supervisor_has_had_its_chance(configured: Settings, overlay: str) -> None:
    liveness = service_container(overlay)["livenessProbe"]
    kubelet = liveness["periodSeconds"] * liveness["failureThreshold"]

    # Three times at least can a hung actor be killed and replaced before the service asks for a restart of the pod.
    assert configured.hang_escalate_s >= 3 * configured.hang_timeout_s
    # From the hang to the kill: what docs/operations.md promises.
    assert configured.hang_escalate_s + kubelet == 150


def test_the_old_pod_works_until_the_new_one_has_proven_itself_and_then_goes_at_once(overlay: str) -> None:
    strategy = named(overlay, "Deployment", "nfsw")["spec"]["strategy"]

    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert service_pod(overlay)["terminationGracePeriodSeconds"] == 5
    assert "lifecycle" not in service_container(overlay)


def test_the_status_page_can_be_reached_while_the_pod_is_not_ready(overlay: str) -> None:
    assert named(overlay, "Service", "nfsw")["spec"]["publishNotReadyAddresses"] is True
