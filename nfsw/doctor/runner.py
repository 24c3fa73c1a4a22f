"""The check runner: the settings first, then one group of checks after the other, a line for each check, and an exit code.

A group runs in a child process that reports over a pipe. When the pipe stays silent for longer than a check may take, the check hangs: the
child is killed, and left alone if the kernel does not let it go. Children are forked, which is safe as long as the doctor has one thread:
with spawn a second process, multiprocessing's resource tracker, would keep our stderr open for as long as such a child lives.
"""

import json
import multiprocessing
import os
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import NoReturn

from nfsw import settings
from nfsw.actors.names import printable
from nfsw.doctor.check import Finding, Severity
from nfsw.settings import Settings

#: Everything works; there may be warnings.
READY = 0
#: The service would not work.
NOT_READY = 1
#: The environment does not make a configuration, so there is nothing to check.
BAD_SETTINGS = 2
#: Ended by Ctrl-C, or because nobody reads the output any more.
INTERRUPTED = 130

#: Seconds for a child to import what it needs.
_START_S = 60.0
#: Seconds for a child to end.
_END_S = 2.0

_processes = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class _Group:
    name: str
    #: Where its checks are: a function of the settings and the seconds for each check. Only the child imports it.
    checks: str
    #: What to do when one of them hangs.
    remedy: str


_GROUPS = (
    _Group(
        "nfs",
        "nfsw.doctor.nfs:checks",
        "check the NFS server and the network; a hard mount waits for ever, and continues when the server answers",
    ),
    _Group("staging", "nfsw.doctor.local:staging_checks", "check the disk, and the kernel's messages on this node (dmesg)"),
    _Group("azure", "nfsw.doctor.azure:checks", "check the network: firewall, proxy, route"),
    _Group("otlp", "nfsw.doctor.local:telemetry_checks", "check the collector; files do not wait for it"),
)


def main(*, as_json: bool, limit_s: float) -> NoReturn:
    """Leaves the process with the exit code. `limit_s`: for each check, in seconds."""
    try:
        code = _report(as_json, limit_s)
        sys.stdout.flush()
    except (BrokenPipeError, KeyboardInterrupt):
        code = INTERRUPTED
    os._exit(code)  # multiprocessing would wait at the interpreter's end for a child that cannot be killed


def _report(as_json: bool, limit_s: float) -> int:
    found: list[Finding] = []
    for finding in _findings(limit_s):
        found.append(finding)
        if not as_json:
            _print(finding)
    worst = max((finding.verdict for finding in found), key=list(Severity).index)
    if as_json:
        print(json.dumps({"verdict": worst, "checks": [asdict(finding) for finding in found]}, indent=2))
    if found[0].verdict is Severity.FAIL:
        return BAD_SETTINGS
    return NOT_READY if worst is Severity.FAIL else READY


def _print(finding: Finding) -> None:
    print(f"{finding.verdict:<5} {finding.check:<20} {printable(finding.said)}", flush=True)
    if finding.remedy:
        print(f"{'':5} {'':20} remedy: {printable(finding.remedy)}", flush=True)


def _findings(limit_s: float) -> Iterator[Finding]:
    try:
        chosen = settings.load()
    except settings.BadSettings as bad:
        yield Finding("settings", Severity.FAIL, str(bad), "`nfsw serve --help` lists all settings; in the cluster they are in site.env")
        return
    if unknown := settings.unknown(os.environ):
        yield Finding("settings", Severity.WARN, f"unknown: {', '.join(unknown)}", "correct the names: most likely they are misspelt")
    else:
        yield Finding("settings", Severity.OK, "complete and valid")
    for group in _GROUPS:
        yield from _run(group, chosen, limit_s)


def _run(group: _Group, chosen: Settings, limit_s: float) -> Iterator[Finding]:
    """The findings of a group, each as it comes."""
    results, childs_end = _processes.Pipe(duplex=False)
    child = _processes.Process(target=_run_checks, args=(group, chosen, limit_s, childs_end))
    child.start()
    childs_end.close()
    check, within_s = f"{group.name} checks", _START_S
    with results:
        try:
            while results.poll(within_s):
                match results.recv():
                    case Finding() as finding:
                        yield finding
                        check, within_s = f"{group.name} clean-up", limit_s
                    case (str(check), float(within_s)):
                        continue
        except EOFError:
            child.join(_END_S)
    if child.exitcode is None:
        yield Finding(check, Severity.FAIL, f"no answer within {within_s:g} s{_kill(child)}", group.remedy)
    elif child.exitcode != 0:
        yield Finding(check, Severity.FAIL, f"the process of the checks ended with exit code {child.exitcode}", "please report this")


def _kill(child: BaseProcess) -> str:
    """Returns what to add to the finding when that does not work."""
    child.kill()
    child.join(_END_S)
    return "" if child.exitcode is not None else f"; process {child.pid} cannot be killed: it is blocked in the kernel"


def _run_checks(group: _Group, chosen: Settings, limit_s: float, results: Connection) -> None:
    """In the child: sends the name and the limit of each check before it runs, and its finding after it."""
    # A reader of the doctor's output waits until all who hold it have closed it, and a child that cannot be killed never would.
    for standard in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), standard)
    with closing(pkgutil.resolve_name(group.checks)(chosen, limit_s)) as checks:
        for check in checks:
            results.send((check.name, float(check.limit_s or limit_s)))
            finding = check.finding()
            results.send(finding)
            if check.needed and finding.verdict is Severity.FAIL:
                break
