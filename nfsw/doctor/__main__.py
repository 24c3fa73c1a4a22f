"""`python -m nfsw.doctor GROUP`: one group of checks, in a child of the doctor, with the plan on stdin and findings on stdout.

A line before each check says which it is, so that the doctor knows what hangs when no more lines come.
"""

import json
import sys
from collections.abc import Generator
from contextlib import closing
from dataclasses import astuple

from nfsw.doctor.finding import Check, Finding, Verdict, Wrong
from nfsw.doctor.plan import Plan


def main(group: str) -> None:
    plan = Plan(**json.load(sys.stdin))
    checks = _checks(group, plan)
    with closing(checks):
        for check in checks:
            _say({"begins": check.name, "limit_s": check.limit_s or plan.limit_s})
            finding = _run(check)
            _say({"found": astuple(finding)})
            if check.needed and finding.verdict is Verdict.FAIL:
                break


def _checks(group: str, plan: Plan) -> Generator[Check]:
    """Imports one group alone."""
    match group:
        case "nfs":
            from nfsw.doctor import nfs_checks  # noqa: PLC0415

            return nfs_checks.checks(plan)
        case "staging":
            from nfsw.doctor import staging_checks  # noqa: PLC0415

            return staging_checks.checks(plan)
        case "azure":
            from nfsw.doctor import azure_checks  # noqa: PLC0415

            return azure_checks.checks(plan)
        case "otlp":
            from nfsw.doctor import otlp_checks  # noqa: PLC0415

            return otlp_checks.checks(plan)
        case _:
            raise ValueError(group)


def _run(check: Check) -> Finding:
    try:
        return Finding(check.name, Verdict.OK, check.run())
    except Wrong as wrong:
        return Finding(check.name, wrong.verdict, wrong.said, wrong.remedy)
    except Exception as error:  # noqa: BLE001 - one check that nobody thought through must not end the others
        return Finding(check.name, Verdict.FAIL, f"{type(error).__name__}: {error}", "please report this")


def _say(message: dict[str, object]) -> None:
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
