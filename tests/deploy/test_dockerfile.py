"""The Dockerfile, read: what a build on one machine cannot show of the others."""

import re
import tomllib

from nfsw import __version__
from tests.deploy.kustomize import load_all
from tests.deploy.overlays import CHECKOUT, K3S, service_container

TEXT = (CHECKOUT / "Dockerfile").read_text()
#: One string an instruction, its continued lines joined.
INSTRUCTIONS = [line for line in re.sub(r"\\\n\s*", "", TEXT).splitlines() if line and not line.startswith("#")]


def test_both_stages_stand_on_the_decided_base() -> None:
    assert [line.split()[1] for line in _all("FROM")] == ["python:3.12-slim-bookworm"] * 2


def test_every_dependency_comes_locked_and_as_a_wheel() -> None:
    installs = [part for run in _all("RUN") for part in run.split("&&") if "pip" in part and " install " in part]

    assert len(installs) == 3
    for install in installs:
        assert "--no-index" in install or {"--require-hashes", "--only-binary", ":all:"} <= set(install.split())


def test_nothing_in_it_depends_on_the_architecture_or_needs_a_newer_builder() -> None:
    assert not re.search(r"amd64|x86_64|aarch64|--platform", "\n".join(INSTRUCTIONS))
    assert not re.search(r"<<|--link|--mount", "\n".join(INSTRUCTIONS))


def test_the_health_check_has_the_figures_of_the_probes() -> None:
    container = service_container("base")
    liveness, startup = container["livenessProbe"], container["startupProbe"]
    (check,) = _all("HEALTHCHECK")
    options = dict(re.findall(r"--([a-z-]+)=(\d+)", check))

    assert options == {
        "interval": str(liveness["periodSeconds"]),
        "timeout": str(liveness["timeoutSeconds"]),
        "retries": str(liveness["failureThreshold"]),
        "start-period": str(startup["periodSeconds"] * startup["failureThreshold"]),
    }


def test_commands_are_in_the_form_that_needs_no_shell() -> None:
    assert _all("ENTRYPOINT") == ['ENTRYPOINT ["nfsw"]']
    assert _all("CMD") == ['CMD ["serve"]']
    assert not _all("STOPSIGNAL")  # SIGTERM, which the service listens to
    assert "nfsw" in tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["scripts"]


def test_the_image_is_not_root_by_itself() -> None:
    (user,) = _all("USER")

    assert user.split()[1] not in {"0", "root", "0:0"}


def test_image_and_version_are_the_same_everywhere() -> None:
    (kustomization,) = load_all(K3S / "base" / "kustomization.yaml")

    assert kustomization["images"] == [{"name": "nfsw", "newTag": __version__}]
    assert service_container("base")["image"] == f"nfsw:{__version__}"
    assert f"ARG VERSION={__version__}" in INSTRUCTIONS
    assert f"-t nfsw:{__version__} ." in TEXT


def test_only_what_is_copied_is_sent_to_the_builder() -> None:
    ignore = (CHECKOUT / ".dockerignore").read_text().splitlines()
    copied = {part for line in _all("COPY") if "--from" not in line for part in line.split()[1:-1]}

    assert "*" in ignore
    assert {line.removeprefix("!") for line in ignore if line.startswith("!")} == copied
    assert all((CHECKOUT / path).exists() for path in copied)


def _all(instruction: str) -> list[str]:
    return [line for line in INSTRUCTIONS if line.startswith(f"{instruction} ")]
