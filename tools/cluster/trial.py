"""The installation under test, with a namespace and an export of its own; Azurite, and a pod that writes, beside it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from string import Template
from typing import Any

from tests.support import waiting
from tests.support.azurite import ACCOUNT, KEY
from tools.cluster.commands import CHECKOUT, Failed, Runner

HERE = Path(__file__).parent
#: Seconds for what a cluster does in its own time: images are pulled, an evicted pod is noticed within a minute or two.
SOON = 300.0
until = partial(waiting.until, within=SOON, every=0.5)
#: The collector is left out: its image would have to come from somewhere.
WITHOUT = {"DaemonSet": "apps/v1", "Service": "v1"}


@dataclass(slots=True)
class Trial:
    name: str
    image: str
    azurite: str
    #: The NFS server of the export, or None: a folder of the node.
    server: str | None
    #: The folder in which the export is made.
    parent: str
    #: The manual's blocks, and where its commands run: in a folder with a copy of k3s/.
    manual: dict[str, str]
    folder: Path
    connection: str = ""
    written: int = 0

    def __post_init__(self) -> None:
        """Copies k3s/ and gives namespace and volume the trial's name."""
        shutil.copytree(CHECKOUT / "k3s", self.folder / "k3s", ignore=shutil.ignore_patterns("site"))
        for file in (self.folder / "k3s").rglob("*.yaml"):
            text = file.read_text().replace("namespace: nfsw\n", f"namespace: {self.name}\n").replace("nfs-data-pv\n", f"{self.name}\n")
            file.write_text(text.replace("name: nfsw\n", f"name: {self.name}\n", 1) if file.name == "namespace.yaml" else text)

    @property
    def overlay(self) -> str:
        return "remote-nfs" if self.server else "colocated-nfs"

    @property
    def service(self) -> Runner:
        return Runner(self.folder, self.name)

    @property
    def tools(self) -> Runner:
        return Runner(self.folder, f"{self.name}-tools")

    def block(self, name: str, **meant: str) -> str:
        """Runs a block of the manual. `meant`: what is put in place of its examples."""
        text = self.manual[name]
        for example, real in {"-n nfsw ": f"-n {self.name} ", "overlays/remote-nfs": f"overlays/{self.overlay}", **meant}.items():
            text = text.replace(example, real)
        return self.service.shell(text)

    def start_tools(self) -> None:
        volume = {"nfs": {"server": self.server, "path": self.parent}} if self.server else {"hostPath": {"path": self.parent}}
        self.tools.kubectl("create", "namespace", f"{self.name}-tools")
        account = ["get", "serviceaccount", "default", "--ignore-not-found"]
        until(lambda: self.tools.kubectl(*account), what="the namespace has the account that pods need")
        self.tools.kubectl("apply", "--filename", "-", given=self._filled("tools.yaml", volume=json.dumps(volume)[1:-1]))
        self.tools.kubectl("wait", "--for=condition=Ready", "pod", "--all", f"--timeout={SOON:.0f}s")
        address = self.tools.get("pod", "azurite")["status"]["podIP"]
        endpoint = f"http://{f'[{address}]' if ':' in address else address}:10000/{ACCOUNT}"
        self.connection = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={endpoint};"
        self.inside("own", "0")

    def edit_site(self, *patches: str, replicas: int = 1, **settings: str) -> None:
        """What an operator edits in k3s/overlays/site, and patches that fit the overlay to the test."""
        site = self.folder / "k3s/overlays/site"
        shutil.copytree(site.with_name(self.overlay), site, dirs_exist_ok=True)
        lines = [*(site / "site.env").read_text().splitlines(), *(HERE / "site.env").read_text().splitlines()]
        values = dict(line.split("=", 1) for line in lines if line and not line.startswith("#")) | settings
        (site / "site.env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
        volume = site / ("nfs-server.yaml" if self.server else "host-path.yaml")
        text = volume.read_text().replace("/export/data", f"{self.parent}/{self.name}")
        volume.write_text(text.replace("192.168.1.10", self.server or ""))
        gone = {"metadata": {"name": "otel-collector", "namespace": self.name}, "$patch": "delete"}
        removals = [json.dumps({"apiVersion": version, "kind": kind, **gone}) for kind, version in WITHOUT.items()]
        with (site / "kustomization.yaml").open("a") as kustomization:
            for number, patch in enumerate([self._filled("fit.yaml", replicas=str(replicas)), *removals, *patches]):
                (site / f"cluster-test-{number}.yaml").write_text(patch)
                kustomization.write(f"  - path: cluster-test-{number}.yaml\n")

    def pods(self) -> list[Any]:
        """Those of the service that are meant to run."""
        found = self.service.get("pods", "--selector", "app.kubernetes.io/name=nfsw")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"] and pod["status"].get("phase") in ("Pending", "Running")]

    def settled(self, replicas: int = 1) -> list[str]:
        """The pods' names, once there are just as many as asked for, and all are ready."""

        def ready() -> list[str]:
            pods = self.pods()
            statuses = {pod["metadata"]["name"]: pod["status"].get("containerStatuses", [{"ready": False}]) for pod in pods}
            names = [name for name, containers in statuses.items() if all(one["ready"] for one in containers)]
            return names if len(names) == len(pods) == replicas else []

        return until(ready, what=f"{replicas} ready pods")

    def status(self, pod: str) -> Any:
        """None: the pod does not answer yet."""
        try:
            return json.loads(self.service.kubectl("exec", pod, "--", "nfsw", "status", "--json"))
        except Failed:
            return None

    def has_session(self, pod: str, name: str | None) -> bool:
        status = self.status(pod)
        return status is not None and (status["session"] or {}).get("name") == name

    def inside(self, action: str, *arguments: str) -> str:
        """Runs inside.py in the writing pod, on the export as that pod sees it."""
        given = (HERE / "inside.py").read_text()
        command = ["env", f"CONNECTION={self.connection}", "python", "-", action, f"/parent/{self.name}", *arguments]
        return self.tools.kubectl("exec", "--stdin", "writer", "--", *command, given=given)

    def put(self, mib: float, session: str = "first", uid: int = 0) -> str:
        """Writes a file of random bytes. Its name."""
        self.written += 1
        name = f"file-{self.written}.bin"
        self.inside("put", session, name, str(int(mib * 2**20)), str(uid))
        return name

    def arrived(self) -> str:
        """Waits until every file written so far is equal in Azure and none is on the export."""
        seen: list[str] = []

        def all_equal() -> bool:
            seen[:] = json.loads(self.inside("missing"))
            return not seen

        until(all_equal, what=lambda: "; ".join(seen[:3]))
        return f"all {self.written} files equal in Azure, none left"

    def in_the_middle(self, name: str) -> str:
        """The pod that has sent a part of this file, as soon as there is one."""

        def sending() -> str | None:
            for pod in (one["metadata"]["name"] for one in self.pods()):
                files = (self.status(pod) or {}).get("in_flight", [])
                if any(file["file"] == name and 0 < file["done"] < file["size"] for file in files):
                    return str(pod)
            return None

        return until(sending, what=f"{name} is being sent")

    def take_down(self, say: Callable[[str], None]) -> list[str]:
        """Removes all that the trial has made, by the manual's command first. What is left in spite of that."""
        things = [f"namespace/{self.name}", f"persistentvolume/{self.name}", f"namespace/{self.name}-tools"]
        export = f"folder {self.parent}/{self.name}"
        removals: dict[str, Callable[[], str]] = {
            "the installation": lambda: self.block("remove") if (self.folder / "k3s/overlays/site").exists() else "",
            export: lambda: self.inside("remove") if self.connection else "",
            "namespaces and volume": lambda: self.service.kubectl("delete", *things, "--ignore-not-found"),
        }
        left = []
        for thing, remove in removals.items():
            try:
                remove()
            except Failed as failed:
                say(f"cannot remove {thing}: {failed}")
                left += [thing] if thing == export else []
        return left + self.service.kubectl("get", *things, "--ignore-not-found", "--output", "name").split()

    def evidence(self) -> str:
        """What an operator would look at first."""
        looks = [f"kubectl get pods,events -n {name}" for name in (f"{self.name}-tools", self.name)]
        return self.service.shell(f"({'; '.join(looks)}; kubectl logs deployment/nfsw -n {self.name} --tail 10) 2>&1 || true")

    def _filled(self, template: str, **values: str) -> str:
        return Template((HERE / template).read_text()).substitute(values, name=self.name, image=self.image, azurite=self.azurite)
