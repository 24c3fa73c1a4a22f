"""The doctor itself: settings first, then one group of checks after the other, a line for each, and an exit code."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict

from nfsw import settings
from nfsw.actors.names import shown
from nfsw.doctor import ward
from nfsw.doctor.finding import Finding, Verdict
from nfsw.doctor.plan import Plan
from nfsw.settings import Settings

#: Everything works; there may be warnings.
WELL = 0
#: The service would not work.
ILL = 1
#: The environment does not make a configuration, so there is nothing to check.
BAD_SETTINGS = 2

_GROUPS = ("nfs", "staging", "azure", "otlp")


def main(*, as_json: bool, limit_s: float) -> int:
    """`limit_s`: for each check, in seconds."""
    found: list[Finding] = []
    for finding in _findings(limit_s):
        found.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        print(json.dumps({"verdict": _worst(found), "checks": [asdict(finding) for finding in found]}, indent=2))
    if found[0].verdict is Verdict.FAIL:
        return BAD_SETTINGS
    return ILL if _worst(found) is Verdict.FAIL else WELL


def _findings(limit_s: float) -> Iterator[Finding]:
    try:
        chosen = settings.load()
    except settings.BadSettings as wrong:
        yield Finding("settings", Verdict.FAIL, str(wrong), "`nfsw serve --help` lists all settings; in the cluster they are in site.env")
        return
    yield _settings()
    plan = _plan(chosen, limit_s)
    for group in _GROUPS:
        yield from ward.findings(group, plan)


def _settings() -> Finding:
    if unknown := settings.unknown(os.environ):
        return Finding("settings", Verdict.WARN, f"unknown: {', '.join(unknown)}", "correct the names: most likely they are misspelt")
    return Finding("settings", Verdict.OK, "complete and valid")


def _plan(chosen: Settings, limit_s: float) -> Plan:
    return Plan(
        str(chosen.nfs_root),
        str(chosen.staging_dir),
        chosen.staging_limit_bytes,
        chosen.azure_max_block_size,
        chosen.workers,
        chosen.azure_account_url,
        chosen.connection_string,
        chosen.azure_container,
        limit_s,
    )


def _worst(found: list[Finding]) -> Verdict:
    return max((finding.verdict for finding in found), key=list(Verdict).index)


def _print(finding: Finding) -> None:
    print(f"{finding.verdict:<5} {finding.check:<20} {shown(finding.said)}")
    if finding.remedy:
        print(f"{'':5} {'':20} remedy: {shown(finding.remedy)}")
    sys.stdout.flush()
