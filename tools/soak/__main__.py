"""`make soak ARGS="--kills 500 --seconds 1200"`: exit code 0 when nothing was lost, nothing differs and nothing else went wrong."""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path
from uuid import uuid4

from tests.support.azurite import NoNode, azurite
from tests.support.blobs import Container
from tools.soak.run import Plan, soak

WENT_WRONG = 1
MISSING = 2


def main() -> int:
    options = _options()
    plan = Plan(options.seed, options.kills, options.seconds, options.pods, options.folders, options.keep)
    folder = Path(tempfile.mkdtemp(prefix="nfsw-soak-", dir=options.folder))
    print(f"{plan}, in {folder}", flush=True)
    try:
        with azurite(folder / "azurite") as endpoint:
            container = Container(endpoint, f"soak-{uuid4().hex}")
            container.make()
            (folder / "run").mkdir()
            report = soak(plan, folder / "run", endpoint, container)
            container.close()
    except NoNode as missing:
        print(missing, file=sys.stderr)
        return MISSING
    print("\n".join(report.lines()), flush=True)
    if report.well:
        shutil.rmtree(folder)
        return 0
    print(f"What was written, committed and killed when: {folder}/run/journal; what the pods said: {folder}/run/pods")
    return WENT_WRONG


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=500, help="the storm ends after so many SIGKILLs (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1200.0, help="or after so many seconds (%(default)s)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="repeats an earlier run's choices")
    parser.add_argument("--pods", type=int, default=1, help="services on one share; with more than one, one of them is free (%(default)s)")
    parser.add_argument("--folders", action="store_true", help="files lie in folders of the sessions too, which have to go in the end")
    parser.add_argument(
        "--keep", type=float, default=0.0, help="files stay on NFS for so many seconds once they are in Azure (%(default)s)"
    )
    parser.add_argument("--folder", type=Path, help="where share, staging and Azurite's data go; default: the system's place for them")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
