"""The commands that the test of a cluster runs: the manual's own, kubectl, and those that make an image."""

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
#: Seconds for one command.
WITHIN = 900.0
_BLOCK = re.compile(r"^<!-- cluster-test: (?P<name>[a-z-]+) -->\n```\w+\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
#: The command that loads an archive into a cluster, less the archive's path, by the beginning of the kubectl context.
LOADERS = {"kind-": "kind load image-archive --name {}", "k3d-": "k3d image import --cluster {}"}


class Failed(Exception):
    """A command ended with an error. The message is the command and what it said last."""


class NoCluster(Exception):
    """There is no kubectl, or no cluster answers it. The message is one line that says which."""


def blocks(manual: str) -> dict[str, str]:
    """The fenced blocks that have a name, which is a comment right above: readers of the page do not see it."""
    found = {match["name"]: match["text"] for match in _BLOCK.finditer(manual)}
    if len(found) != manual.count("<!-- cluster-test:"):
        raise ValueError("each cluster-test marker needs a name of its own and a fenced block right below it")
    return found


def run(command: list[str], folder: Path | None = None, given: str = "") -> str:
    """What the command prints on stdout. Raises Failed."""
    shown = command[-1].strip() if command[0] == "bash" else shlex.join(command)
    environment = {**os.environ, "EDITOR": "true"}  # what the manual's reader edits has been edited
    try:
        done = subprocess.run(
            command, cwd=folder, input=given, capture_output=True, text=True, timeout=WITHIN, env=environment, check=False
        )
    except subprocess.TimeoutExpired as late:
        raise Failed(f"`{shown}` took longer than {WITHIN:g} s") from late
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()
        raise Failed(f"`{shown}` ended with {done.returncode} and said: {said[-1]}")
    return done.stdout


def cluster() -> str:
    """The version of the cluster that answers. Raises NoCluster."""
    if shutil.which("kubectl") is None:
        raise NoCluster("kubectl is not installed")
    try:
        return str(json.loads(run(["kubectl", "version", "--output", "json", "--request-timeout", "10s"]))["serverVersion"]["gitVersion"])
    except (Failed, KeyError, ValueError) as error:
        raise NoCluster(f"no cluster answers; KUBECONFIG is {os.environ.get('KUBECONFIG', 'not set')}; {error}") from error


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs commands in a folder, and kubectl in a namespace."""

    folder: Path
    namespace: str

    def shell(self, text: str) -> str:
        """Stops at the first command that fails."""
        return run(["bash", "-euc", text], self.folder)

    def kubectl(self, *arguments: str, given: str = "") -> str:
        return run(["kubectl", "--namespace", self.namespace, *arguments], self.folder, given)

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", *arguments, "--output", "json"))


def build(tag: str, dockerfile: Path, files: list[Path], load: str | None) -> str:
    """Builds an image from these files and loads it into the cluster. Its name there. Raises Failed."""
    engine = next((one for one in ("docker", "podman") if shutil.which(one) and _succeeds(one, "info")), None)
    if engine is None:
        raise Failed(
            f"neither docker nor podman works here, so {tag} cannot be built; IMAGE= and AZURITE_IMAGE= name images that are there"
        )
    loader, image = load or _loader(), f"localhost/{tag}"
    print(f"cluster-test: building {image} with {engine}, which takes minutes", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        context, archive = Path(folder, "context"), f"{folder}/image.tar"
        for file in files:
            copy = context / file.relative_to(CHECKOUT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if file.is_dir() else shutil.copy)(file, copy)
        run([engine, "build", "--tag", image, "--file", str(dockerfile), str(context)])
        run([engine, "save", "--output", archive, image])
        run([*shlex.split(loader), archive])
    return image


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _loader() -> str:
    context = run(["kubectl", "config", "current-context"]).strip()
    for beginning, command in LOADERS.items():
        if context.startswith(beginning):
            return command.format(context.removeprefix(beginning))
    if shutil.which("k3s"):
        return "sudo k3s ctr images import"
    raise Failed(f"it is not known how to load an image into {context}: say so with LOAD=, or name images with IMAGE= and AZURITE_IMAGE=")
