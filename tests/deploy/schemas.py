"""The JSON schemas of Kubernetes, as the package kubernetes-validate carries them: one set for each minor version."""

import json
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.deploy.kustomize import Manifest

FOLDER = files("kubernetes_validate") / "kubernetes-json-schema"
#: In the strict sets a field that Kubernetes does not know is an error, where the API server would drop it without a word.
STRICT = "-local-strict"
#: More than two years of k3s, for a box in the field is not upgraded every quarter; up to the newest that there are schemas for.
OLDEST = (1, 30)


def versions() -> list[str]:
    """Kubernetes versions, such as 1.34, oldest first."""
    found = [tuple(map(int, name.removeprefix("v").removesuffix(STRICT).split("."))) for name in _names() if name.endswith(STRICT)]
    return [f"{major}.{minor}" for major, minor, _ in sorted(found) if (major, minor) >= OLDEST]


def problems(manifest: Manifest, version: str) -> list[str]:
    """Everything in `manifest` that this version of Kubernetes does not know, or knows to be of another type."""
    errors = _validator(version, manifest["apiVersion"], manifest["kind"]).iter_errors(manifest)
    return sorted(f"{error.json_path}: {error.message}" for error in errors)


def _names() -> list[str]:
    return [folder.name for folder in FOLDER.iterdir()]


@cache
def _validator(version: str, api_version: str, kind: str) -> Draft202012Validator:
    folder = FOLDER / f"v{version}.0{STRICT}"
    group, _, api = api_version.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.partition(".")[0], api) if part)
    return Draft202012Validator(_load(folder / f"{name}.json"), registry=_definitions(version))


@cache
def _definitions(version: str) -> Registry[Any]:
    contents = _load(FOLDER / f"v{version}.0{STRICT}" / "_definitions.json")
    registry: Registry[Any] = Registry().with_resource("_definitions.json", Resource.from_contents(contents))
    return registry.crawl()  # once: otherwise every reference does it again


def _load(file: Traversable) -> Any:
    return json.loads(file.read_bytes())
