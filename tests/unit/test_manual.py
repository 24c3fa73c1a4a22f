"""docs/operations.md beside what it speaks of: settings, overlays, files, commands."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nfsw.settings import PREFIX, Settings, variable
from nfsw.supervisor.health import RULES, HealthState, Kind, Rule
from tests.deploy.overlays import CHECKOUT, K3S, OVERLAYS, quantity, service_container, service_pod

MANUAL = (CHECKOUT / "docs/operations.md").read_text()
README = (CHECKOUT / "README.md").read_text()
SETTINGS = {variable(name) for name in Settings.model_fields}
TABLE = MANUAL[MANUAL.index("## Settings") : MANUAL.index("## When something fails")]
MESSAGES = MANUAL[MANUAL.index("## Log messages") : MANUAL.index("## Exit codes")]
EXIT_CODES = MANUAL[MANUAL.index("## Exit codes") : MANUAL.index("## Sizing")]
LEVELS = {"warning", "error", "critical"}
ROW = re.compile(r"^\| `(APP_\w+)` \| (.*?) \| ", re.MULTILINE)


def test_every_setting_is_in_the_table_and_no_other() -> None:
    assert {name for name, _ in ROW.findall(TABLE)} == SETTINGS
    assert set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", MANUAL)) <= SETTINGS


@pytest.mark.parametrize("name", [name for name, field in Settings.model_fields.items() if isinstance(field.default, int | float)])
def test_a_default_in_the_table_is_the_real_one(name: str) -> None:
    given = {setting: default for setting, default in ROW.findall(TABLE) if default[:1].isdigit() or default == "false"}

    shown = given[variable(name)].split()[0]
    assert (False if shown == "false" else float(shown)) == Settings.model_fields[name].default


def test_the_readme_names_real_settings_and_their_real_defaults() -> None:
    table = README[README.index("## Settings") : README.index("## Deploy")]

    assert set(re.findall(rf"\b{PREFIX}[A-Z0-9_]+\b", README)) <= SETTINGS
    for name, default in ROW.findall(table):
        field = Settings.model_fields[name.removeprefix(PREFIX).lower()]
        if default[:1].isdigit():
            assert float(default.split()[0]) == field.default, name


def test_every_overlay_and_file_that_it_names_is_there() -> None:
    named = set(re.findall(r"\bk3s/[\w./-]*\w", MANUAL)) - {"k3s/overlays/site"}

    assert all((CHECKOUT / path).exists() for path in named if not path.startswith("k3s/overlays/site/")), named
    assert {f"k3s/overlays/{name}" for name in OVERLAYS if name != "base"} <= named
    assert (K3S / "overlays/remote-nfs/nfs-server.yaml").exists()
    assert (K3S / "overlays/remote-nfs/site.env").exists()


def test_the_figures_of_sizing_are_those_of_the_manifests() -> None:
    sizing = MANUAL[MANUAL.index("## Sizing") : MANUAL.index("## Several sessions")]
    resources = service_container("base")["resources"]
    (staging,) = (volume for volume in service_pod("base")["volumes"] if volume["name"] == "staging")

    assert f"| {staging['emptyDir']['sizeLimit'].replace('Gi', ' Gi')} |" in sizing
    for kind in ("requests", "limits"):
        assert f"{quantity(resources[kind]['ephemeral-storage']) / 2**30:.0f} Gi" in sizing
    assert f"limit of {quantity(resources['limits']['memory']) / 2**30:.0f} GiB" in sizing
    assert f"limit of {resources['limits']['cpu']} cores" in sizing


def test_every_log_message_that_may_need_a_hand_is_there_with_its_remedy() -> None:
    rows = {(level, message) for level, message in re.findall(r"^\| ([A-Z]+) \| `(.*?)` \| .+? \| .+? \|$", MESSAGES, re.MULTILINE)}

    assert rows == {message for file in sorted((CHECKOUT / "nfsw").rglob("*.py")) for message in _logged(file)}


def test_every_exit_code_is_there() -> None:
    codes = re.findall(r"^[A-Z_]+ = (\d+)$", (CHECKOUT / "nfsw/serve.py").read_text(), re.MULTILINE)

    assert codes
    assert all(re.search(rf"\b{code}\b", EXIT_CODES) for code in codes)


def _logged(file: Path) -> Iterator[tuple[str, str]]:
    """Level and message of each call in `file`, as the manual writes them."""
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(attr=level), args=[ast.Constant(value=str(message)), *_]) if level in LEVELS:
                yield level.upper(), re.sub(r"%(\.\d+)?[sdrf]", "…", message)


def test_the_conditions_of_the_health_are_the_real_ones_the_most_important_first() -> None:
    row = r"^\| `(\w+)` \| .+ \| `(\w+)` \|(?: `(\w+)` after (\d+) (min|h))? \|$"
    seconds = {"min": 60, "h": 3600, "": 0}
    told = [
        (kind, Rule(HealthState(word), HealthState(later) if later else None, int(after or 0) * seconds[unit]))
        for kind, word, later, after, unit in re.findall(row, MANUAL, re.MULTILINE)
    ]
    assert told == list({**RULES, Kind.STALLED: Rule(HealthState.TROUBLE)}.items()), "one that stalls is not shown before it is trouble"
