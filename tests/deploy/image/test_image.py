"""The image itself: what it says of itself, and what it is without a manifest."""

import json
from typing import Any

import pytest

from nfsw import __version__
from tests.deploy.image.container import podman


def test_the_image_starts_the_service_as_an_ordinary_user_with_a_health_check(image: str) -> None:
    inspected = _inspected(image)
    config = inspected["Config"]

    assert config["Entrypoint"] == ["nfsw"]
    assert config["Cmd"] == ["serve"]
    assert config["User"] == "10001:10001"
    assert config["ExposedPorts"] == {"8000/tcp": {}}
    assert inspected["Healthcheck"]["Test"][0] == "CMD"
    assert config.get("StopSignal", "SIGTERM") in {"SIGTERM", "15"}
    assert config["Labels"]["org.opencontainers.image.version"] == __version__


def test_nothing_but_what_runs_is_in_the_image(image: str) -> None:
    files = _shell(image, "ls -d /src /dist 2>/dev/null; find /opt/nfsw -maxdepth 5").splitlines()

    assert "/opt/nfsw/bin/nfsw" in files
    assert not {"/src", "/dist"} & set(files)
    assert not [file for file in files if file.endswith(("/pip", "/hatchling", "/setuptools", "/nfsw/tests"))]


@pytest.mark.parametrize("module", ["nfsw", "asyncio", "azure.storage.blob"])
def test_what_runs_has_its_byte_code(image: str, module: str) -> None:
    """A read-only root file system has no place to write it to, so each start would compile anew."""
    folder = f"$(python -c 'import {module}; print({module}.__path__[0])')"
    sources, compiled = (_shell(image, f"find {folder} -name '{name}' | wc -l") for name in ("*.py", "*.pyc"))

    assert int(sources) == int(compiled) > 0


def test_its_size(image: str, record_property: Any) -> None:
    inspected = _inspected(image)
    own = [line for line in json.loads(podman("history", "--format", "json", image)) if line["size"]]

    record_property("image", f"{inspected['Size'] / 1e6:.0f} MB, {len(own)} layers, the service's own {own[0]['size'] / 1e6:.0f} MB")
    assert own[0]["size"] < 120e6


def _shell(image: str, script: str) -> str:
    return podman("run", "--rm", "--no-healthcheck", "--entrypoint", "sh", image, "-c", script)


def _inspected(image: str) -> Any:
    (inspected,) = json.loads(podman("image", "inspect", image))
    return inspected
