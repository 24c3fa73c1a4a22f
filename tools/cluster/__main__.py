"""`make cluster-test`: the manual's installation on a real cluster, and what must not harm it. docs/operations.md says how to use it.

Exit 0: every step went well. 1: one did not, or something is left behind. 2: it cannot be tried like this, and a line says why.
3: there is no kubectl, or no cluster answers it. 130: interrupted. Whatever happens, what was made is taken down again.
"""

import argparse
import secrets
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from tests.support.waiting import NeverHappened
from tools.cluster.commands import CHECKOUT, Failed, NoCluster, blocks, build, cluster, run
from tools.cluster.steps import STEPS
from tools.cluster.trial import HERE, Trial

BAD, IMPOSSIBLE, NO_CLUSTER, INTERRUPTED = 1, 2, 3, 130
NFSW = [CHECKOUT / name for name in ("nfsw", "requirements", "pyproject.toml", "README.md", "LICENSE")]
AZURITE = [CHECKOUT / name for name in ("requirements/node.txt", "package.json", "package-lock.json")]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.cluster", description="Try the installation on the cluster of KUBECONFIG.")
    parser.add_argument("--image", help="image of nfsw that the cluster can pull; without it one is built and loaded")
    parser.add_argument("--azurite-image", help="the same for Azurite")
    parser.add_argument("--load", help="command that loads an image archive into the cluster, less the archive's path")
    parser.add_argument("--nfs", metavar="SERVER:PATH", help="where to make the export; without it, on the cluster's one node")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        print(f"cluster-test: Kubernetes {cluster()}", flush=True)
        server, parent = _export(options.nfs)
        image = options.image or build("nfsw:cluster-test", CHECKOUT / "Dockerfile", NFSW, options.load)
        azurite = options.azurite_image or build("azurite:cluster-test", HERE / "azurite.Dockerfile", AZURITE, options.load)
    except (NoCluster, Failed) as error:
        _say(f"nothing was tried: {error}")
        return NO_CLUSTER if isinstance(error, NoCluster) else IMPOSSIBLE
    except KeyboardInterrupt:
        return INTERRUPTED
    with tempfile.TemporaryDirectory() as folder:
        manual = blocks((CHECKOUT / "docs/operations.md").read_text())
        return _try(Trial(f"nfsw-test-{secrets.token_hex(3)}", image, azurite, server, parent, manual, Path(folder)))


def _try(trial: Trial) -> int:
    """Runs the steps until one fails, takes everything down, and prints the table."""
    _say(f"namespaces {trial.name} and {trial.name}-tools, export {trial.parent}/{trial.name}")
    table, code, left = [], 0, ["unknown"]
    try:
        for name, step in STEPS.items():
            if not code:
                _say(name)
                begin = time.monotonic()
                try:
                    result, seen = "ok", step(trial)
                except (Failed, NeverHappened, AssertionError) as failed:
                    result, seen, code = "FAILED", str(failed), BAD
                    print(trial.evidence(), file=sys.stderr)
                table.append((name, result, f"{time.monotonic() - begin:.0f} s", seen))
            else:
                table.append((name, "not run", "", ""))
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        _say("taking everything down")
        left = trial.take_down(_say)
        table.append(("taken down", "FAILED" if left else "ok", "", f"left: {' '.join(left)}" if left else "nothing is left"))
        for row in table:
            print("{:<29}{:<9}{:>6}  {}".format(*row), flush=True)
    return code or (BAD if left else 0)


def _export(nfs: str | None) -> tuple[str | None, str]:
    """The NFS server, if there is one, and the folder in which the export is made."""
    if nfs:
        server, _, path = nfs.rpartition(":")
        return server, path.rstrip("/")
    nodes = len(run(["kubectl", "get", "nodes", "--output", "name"]).split())
    if nodes != 1:
        raise Failed(f"{nodes} nodes have no folder in common: name an NFS server with NFS=SERVER:PATH")
    return None, "/var/tmp"  # noqa: S108 - the node's


def _say(text: str) -> None:
    print(f"cluster-test: {text}", flush=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
