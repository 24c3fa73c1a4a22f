"""Each manifest against the schemas of each Kubernetes version that k3s ships, unknown fields being errors."""

from copy import deepcopy

import pytest

from tests.deploy.overlays import OVERLAYS, manifests, named
from tests.deploy.schemas import problems, versions


@pytest.mark.parametrize("version", versions())
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_manifest_fits_the_schema(overlay: str, version: str) -> None:
    wrong = {f"{one['kind']} {one['metadata']['name']}": problems(one, version) for one in manifests(overlay)}

    assert not {name: found for name, found in wrong.items() if found}


@pytest.mark.parametrize("version", versions())
def test_the_schemas_notice_a_misspelt_field_and_a_wrong_type(version: str) -> None:
    deployment = deepcopy(named("base", "Deployment", "nfsw"))
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["livenessProbe"]["failureTreshold"] = 3
    container["ports"][0]["containerPort"] = "http"

    found = " ".join(problems(deployment, version))

    assert "failureTreshold" in found
    assert "containerPort" in found


def test_there_are_schemas_for_every_version_in_between() -> None:
    assert versions()[:8] == ["1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36", "1.37"]
