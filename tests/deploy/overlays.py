"""What k3s/ renders to, and the words to ask about it."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tests.deploy.kustomize import Manifest, render

CHECKOUT = Path(__file__).parents[2]
K3S = CHECKOUT / "k3s"
OVERLAYS = {folder.parent.name: folder.parent for folder in sorted(K3S.glob("**/kustomization.yaml"))}
SUFFIXES = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12} | {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


@cache
def manifests(overlay: str) -> tuple[Manifest, ...]:
    return tuple(render(OVERLAYS[overlay]))


def of_kind(overlay: str, *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests(overlay) if manifest["kind"] in kinds]


def named(overlay: str, kind: str, name: str) -> Manifest:
    (found,) = (manifest for manifest in of_kind(overlay, kind) if manifest["metadata"]["name"] == name)
    return found


def workloads(overlay: str) -> list[Manifest]:
    return of_kind(overlay, "Deployment", "DaemonSet")


def pod(workload: Manifest) -> Any:
    return workload["spec"]["template"]["spec"]


def service_pod(overlay: str) -> Any:
    """The pod of `nfsw serve`."""
    return pod(named(overlay, "Deployment", "nfsw"))


def service_container(overlay: str) -> Any:
    (container,) = service_pod(overlay)["containers"]
    return container


def environment(overlay: str) -> dict[str, str]:
    """The environment of `nfsw serve`, less what only a running pod knows and what is secret."""
    container = service_container(overlay)
    settings: dict[str, str] = {}
    for source in container["envFrom"]:
        if reference := source.get("configMapRef"):
            settings |= named(overlay, "ConfigMap", reference["name"])["data"]
    return settings | {variable["name"]: variable.get("value", "") for variable in container["env"]}


def quantity(text: str) -> float:
    """A Kubernetes quantity as a plain number."""
    number = text.rstrip("KMGTikm")
    return float(number) * SUFFIXES.get(text[len(number) :], 1)


def probes(container: Any) -> Iterator[Any]:
    yield from (container[name] for name in ("startupProbe", "livenessProbe", "readinessProbe") if name in container)
