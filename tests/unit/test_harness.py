"""The run itself: no test of it depends on the machine's speed, or on how it was started."""

import re
import subprocess
import sys
from pathlib import Path

from hypothesis import HealthCheck, settings

CHECKOUT = Path(__file__).parents[2]
#: Ends well if SIGINT is not ignored where it runs.
CAN_BE_INTERRUPTED = "import signal; raise SystemExit(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"


def test_an_example_of_hypothesis_may_take_as_long_as_it_takes() -> None:
    assert settings().deadline is None
    assert HealthCheck.too_slow in settings().suppress_health_check


def test_what_a_test_starts_can_be_interrupted() -> None:
    assert subprocess.run([sys.executable, "-c", CAN_BE_INTERRUPTED], check=False).returncode == 0


def test_what_a_test_starts_can_be_interrupted_where_the_run_was_started_with_sigint_ignored() -> None:
    """As by `make test &` in a script."""
    starts = "from tests import conftest; from subprocess import run; conftest.pytest_configure(); "
    starts += f"raise SystemExit(run([{sys.executable!r}, '-c', {CAN_BE_INTERRUPTED!r}]).returncode)"
    done = subprocess.run(["/bin/sh", "-c", 'trap "" INT; exec "$0" -c "$1"', sys.executable, starts], cwd=CHECKOUT, check=False)

    assert done.returncode == 0


def test_the_page_about_tests_support_names_every_module_and_no_other() -> None:
    folder = CHECKOUT / "tests/support"
    first_column = [line.split("|")[1] for line in (folder / "README.md").read_text().splitlines() if line.startswith("| `")]
    named = sorted(name.removesuffix(".py") for cell in first_column for name in re.findall(r"`([\w.]+)`", cell))

    assert named == sorted(
        path.name.removesuffix(".py") for path in folder.iterdir() if path.suffix in {".py", ".sh", ".c"} and path.stem != "__init__"
    )
