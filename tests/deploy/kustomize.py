"""Renders a kustomization as `kubectl kustomize` does, as far as k3s/ uses it; any other field is an error, never ignored.

A machine that runs the tests has no kubectl as a rule, and none of the package registries carries one. Where there is one,
test_render.py holds this module against it.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

type Manifest = dict[str, Any]
type Identity = tuple[str, str, str]

KIND = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
#: The lists that a strategic merge patch merges item by item, and by what; it replaces every other list.
MERGE_KEYS = {"containers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath"}
#: Kustomize writes a hash with letters that make no words.
NO_WORDS = str.maketrans("013ae", "ghkmt")


class Unsupported(Exception):
    """The kustomization uses something that this renderer does not know."""


@dataclass(slots=True)
class _Rendering:
    manifests: list[Manifest] = field(default_factory=list)
    #: Generated ConfigMaps by namespace and name. They get their hashes at the very end, for an overlay may still add to them.
    config_maps: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)


def render(folder: Path) -> list[Manifest]:
    """Every manifest that `kubectl apply -k folder` would send."""
    rendering = _build(folder)
    renamed: dict[tuple[str, str], str] = {}
    for (namespace, name), data in rendering.config_maps.items():
        renamed[namespace, name] = f"{name}-{_hash(data)}"
        metadata = {"name": renamed[namespace, name], "namespace": namespace}
        rendering.manifests.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    for manifest in rendering.manifests:
        _follow_names(manifest, manifest["metadata"].get("namespace", ""), renamed)
    return rendering.manifests


def load_all(file: Path) -> list[Manifest]:
    return [manifest for manifest in yaml.safe_load_all(file.read_text()) if manifest]


def identity(manifest: Manifest) -> Identity:
    return manifest["kind"], manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"]


def _build(folder: Path) -> _Rendering:
    (kustomization,) = load_all(folder / "kustomization.yaml")
    if {key: kustomization.pop(key, None) for key in KIND} != KIND:
        raise Unsupported(f"{folder} is not a {KIND}")
    rendering = _Rendering()
    # In kustomize's own order, whatever the file's.
    steps: dict[str, Callable[[Path, _Rendering, Any], None]] = {
        "resources": _resource,
        "configMapGenerator": _config_map,
        "patches": _patch,
        "images": _image,
    }
    for name, step in steps.items():
        for item in kustomization.pop(name, []):
            step(folder, rendering, item)
    if kustomization:
        raise Unsupported(f"{folder}: {', '.join(kustomization)}")
    return rendering


def _resource(folder: Path, rendering: _Rendering, name: str) -> None:
    path = folder / name
    if path.is_dir():
        below = _build(path)
        rendering.manifests += below.manifests
        rendering.config_maps |= below.config_maps
    else:
        rendering.manifests += load_all(path)


def _config_map(folder: Path, rendering: _Rendering, generator: Manifest) -> None:
    generator = dict(generator)
    key = generator.pop("namespace"), generator.pop("name")
    behaviour = generator.pop("behavior", "create")
    data: dict[str, str] = {}
    for file in generator.pop("envs", []):
        pairs = [line.split("=", 1) for line in (folder / file).read_text().splitlines() if line and not line.startswith("#")]
        if len(pairs) != len(dict(pairs)):
            raise Unsupported(f"{file} names a key twice")
        data |= dict(pairs)
    for item in generator.pop("files", []):
        name, _, file = item.partition("=")
        data[name] = (folder / file).read_text()
    if generator:
        raise Unsupported(f"configMapGenerator: {', '.join(generator)}")
    match behaviour, key in rendering.config_maps:
        case ("create", False) | ("replace", True):
            rendering.config_maps[key] = data
        case ("merge", True):
            rendering.config_maps[key] |= data
        case _:
            raise Unsupported(f"configMapGenerator {key}: {behaviour}")


def _patch(folder: Path, rendering: _Rendering, item: Manifest) -> None:
    if set(item) != {"path"}:
        raise Unsupported(f"patches: {', '.join(item)}")
    for patch in load_all(folder / item["path"]):
        (target,) = (number for number, one in enumerate(rendering.manifests) if identity(one) == identity(patch))
        rendering.manifests[target] = _merged(rendering.manifests[target], patch)


def _image(_: Path, rendering: _Rendering, item: Manifest) -> None:
    if set(item) != {"name", "newTag"}:
        raise Unsupported(f"images: {', '.join(item)}")
    for container in (node for manifest in rendering.manifests for node in _nodes(manifest) if node.get("image") == item["name"]):
        container["image"] = f"{item['name']}:{item['newTag']}"


def _merged(old: Any, new: Any, key: str = "") -> Any:
    """A strategic merge: objects field by field, null removes, known lists by their key and the patch's items first, else replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        merged = {**old, **{name: _merged(old.get(name), value, name) for name, value in new.items()}}
        return {name: value for name, value in merged.items() if not (name in new and new[name] is None)}
    if isinstance(old, list) and isinstance(new, list) and key in MERGE_KEYS:
        by = MERGE_KEYS[key]
        rest = {item[by]: item for item in old}
        changed = [_merged(rest.pop(item[by], None), item) for item in new]
        return [*changed, *rest.values()]
    return deepcopy(new)


def _follow_names(manifest: Manifest, namespace: str, renamed: dict[tuple[str, str], str]) -> None:
    for node in _nodes(manifest):
        for holder in ("configMapRef", "configMapKeyRef", "configMap"):
            if (reference := node.get(holder)) and (namespace, reference["name"]) in renamed:
                reference["name"] = renamed[namespace, reference["name"]]


def _nodes(value: object) -> Iterator[Manifest]:
    """Every object in a manifest, from the outside inwards."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _nodes(inner)


def _hash(data: dict[str, str]) -> str:
    text = json.dumps({"data": data, "kind": "ConfigMap", "name": ""}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&":  # Go escapes these three
        text = text.replace(character, f"\\u{ord(character):04x}")
    return hashlib.sha256(text.encode()).hexdigest()[:10].translate(NO_WORDS)
