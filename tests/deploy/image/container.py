"""One container of the image with the rights, limits and settings that the manifests give its pod, run by podman.

Three things differ, and have to: the network is the machine's own, so that the container reaches Azurite on loopback; staging is a
small tmpfs, for a folder here has no size limit; and the port is a free one.
"""

import json
import socket
import subprocess
import time
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from tests.deploy.overlays import environment, quantity, service_container, service_pod
from tests.support.http import NOTHING, Answer, call
from tests.support.site import Site
from tests.support.waiting import until

#: The share is a folder of this machine, as it is there.
OVERLAY = "colocated-nfs"
READY_WITHIN = 60.0
STAGING_MIB = 512


class Container:
    def __init__(self, image: str, site: Site, **settings: str) -> None:
        self.name = f"nfsw-{uuid4().hex}"
        self.port = _free_port()
        self._started = time.monotonic()
        own = {"APP_PORT": str(self.port), "APP_NFS_ROOT": "/mnt/nfs", "APP_STAGING_DIR": "/var/lib/nfsw/staging"}
        own["APP_STAGING_LIMIT_BYTES"] = str(STAGING_MIB * 2**20 * 9 // 10)
        own["APP_POD_NAME"] = self.name
        own["OTEL_EXPORTER_OTLP_ENDPOINT"] = ""
        variables = {**environment(OVERLAY), **site.settings(), **own, **settings}
        podman("run", "--detach", "--name", self.name, *_rights(), *_volumes(site.nfs), *_environment(variables), image)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        podman("rm", "--force", "--time", "0", self.name)

    def ready(self) -> float:
        """Waits until /readyz says 200. Seconds since the start of the container."""
        until(lambda: self._answers(200, "/readyz"), within=READY_WITHIN, what=lambda: f"/readyz says 200\n{self.logs()}")
        return time.monotonic() - self._started

    def call(self, method: str, path: str, body: object = NOTHING) -> Answer:
        return call(self.port, method, path, body)

    def exec(self, *command: str) -> str:
        return podman("exec", self.name, *command)

    def send(self, signal: str) -> None:
        podman("kill", "--signal", signal, self.name)

    def gone(self) -> int:
        """Waits until it has ended. The exit code of its first process."""
        return int(podman("wait", "--interval", "20ms", self.name))

    @property
    def pid(self) -> int:
        """Its first process, as this machine counts."""
        return int(self.inspected()["State"]["Pid"])

    def memory_bytes(self) -> int:
        """What counts against its limit: the page cache and staging's tmpfs are part of it."""
        return int(self._counter("memory", "memory.usage_in_bytes", "memory.current"))

    def cpu_seconds(self) -> float:
        """Since its start, all processes together."""
        said = self._counter("cpuacct", "cpuacct.usage", "cpu.stat")
        return int(said.split()[1]) / 1e6 if said.startswith("usage_usec") else int(said) / 1e9

    def inspected(self) -> Any:
        (state,) = json.loads(podman("inspect", self.name))
        return state

    def healthy(self) -> bool:
        """What its HEALTHCHECK says at this moment."""
        return subprocess.run(["podman", "healthcheck", "run", self.name], capture_output=True, check=False).returncode == 0

    def logs(self) -> str:
        """The end of what it said, on both streams."""
        done = subprocess.run(
            ["podman", "logs", "--tail", "60", self.name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return done.stdout

    def _counter(self, controller: str, first: str, second: str) -> str:
        """From its control group: of the first version, a folder for each controller, or of the second, one for all."""
        places: dict[str, str] = {}
        for line in Path(f"/proc/{self.pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            places |= dict.fromkeys(controllers.split(","), path)
        if controller in places:
            return Path(f"/sys/fs/cgroup/{controller}{places[controller]}/{first}").read_text()
        return Path(f"/sys/fs/cgroup{places['']}/{second}").read_text()

    def _answers(self, status: int, path: str) -> bool:
        try:
            return self.call("GET", path).status == status
        except (OSError, HTTPException):
            if not Path(f"/proc/{self.pid}").exists():
                raise AssertionError(f"the container has ended\n{self.logs()}") from None
            return False


def podman(*arguments: str) -> str:
    """What one podman command printed. On stderr it complains of a missing systemd, which would only time the health checks."""
    done = subprocess.run(["podman", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"podman {arguments[0]}: {done.stderr}"
    return done.stdout


def _rights() -> list[str]:
    """The Deployment's securityContext and limits in podman's words. Podman would add writable folders to a read-only root."""
    container, security = service_container(OVERLAY), service_pod(OVERLAY)["securityContext"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    rights = ["--read-only", "--read-only-tmpfs=false", "--security-opt", "no-new-privileges"]
    rights += ["--user", f"{security['runAsUser']}:{security['runAsGroup']}"]
    rights += [f"--cap-drop={name}" for name in container["securityContext"]["capabilities"]["drop"]]
    rights += [f"--cap-add={name}" for name in container["securityContext"]["capabilities"]["add"]]
    limits = container["resources"]["limits"]
    return [*rights, "--memory", str(int(quantity(limits["memory"]))), "--cpus", limits["cpu"]]


def _volumes(nfs: Path) -> list[str]:
    return ["--network", "host", "--volume", f"{nfs}:/mnt/nfs", "--tmpfs", f"/var/lib/nfsw/staging:rw,size={STAGING_MIB}m,mode=0777"]


def _environment(variables: dict[str, str]) -> list[str]:
    return [f"--env={name}={value}" for name, value in variables.items() if not value.startswith("$(")]


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
