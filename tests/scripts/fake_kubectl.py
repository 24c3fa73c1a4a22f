"""A kubectl for the tests of tools/cluster: plays a cluster on which all goes well, as far as that tool asks, and notes what it is asked.

Its state is a JSON file, FAKE_KUBECTL. A command that contains FAKE_FAILS fails; one that contains FAKE_INTERRUPTS sends SIGINT to
whoever called. Standard library alone: it is started a hundred times.
"""

import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

STATE = Path(os.environ["FAKE_KUBECTL"])
NAMESPACE = re.compile(r"^kind: Namespace\nmetadata:\n  name: (\S+)", re.MULTILINE)


class Cluster:
    def __init__(self) -> None:
        empty = {"asked": [], "namespaces": [], "volumes": [], "pods": [], "serial": 0, "files": [], "uid": "0"}
        self.state: dict[str, Any] = json.loads(STATE.read_text()) if STATE.exists() else empty

    def answer(self, arguments: list[str]) -> object:
        state = self.state
        match arguments:
            case ["version", *_]:
                return {"serverVersion": {"gitVersion": "v1.34.1"}}
            case ["get", "nodes", *_]:
                return "node/one"
            case ["create", "namespace", name]:
                state["namespaces"].append(name)
            case ["get", "serviceaccount", *_]:
                return "default"
            case ["apply", "-f", file]:
                state["namespaces"] += NAMESPACE.findall(Path(file).read_text())
            case ["apply", "--filename", "-"]:
                pass
            case ["apply", "-k" | "--kustomize", site]:
                self._deploy(Path(site))
            case ["rollout", "restart", _]:
                state["pods"] = [self._pod(pod["session"]) for pod in state["pods"]]
            case ["rollout", "undo", _]:
                state["pods"] = [pod for pod in state["pods"] if not pod["refused"]]
            case ["scale", _, "--replicas=0"]:
                state["pods"] = []
            case ["get", "pod", "azurite", *_]:
                return {"status": {"podIP": "10.0.0.9"}}
            case ["get", "events", *_]:
                return "event/evicted"
            case ["get", "pods", *_]:
                return {"items": [_shown(pod) for pod in state["pods"]]}
            case ["get", *things, "--ignore-not-found", "--output", "name"]:
                there = {f"namespace/{name}" for name in state["namespaces"]} | {f"persistentvolume/{name}" for name in state["volumes"]}
                return "\n".join(thing for thing in things if thing in there)
            case ["delete", "pod", name]:
                state["pods"] = [self._pod(pod["session"]) if pod["name"] == name else pod for pod in state["pods"]]
            case ["delete", "-k", _]:
                state["pods"], state["volumes"] = [], []
                state["namespaces"] = [name for name in state["namespaces"] if name.endswith("-tools")]
            case ["delete", *things, "--ignore-not-found"]:
                state["namespaces"] = [one for one in state["namespaces"] if f"namespace/{one}" not in things]
                state["volumes"] = [one for one in state["volumes"] if f"persistentvolume/{one}" not in things]
            case ["exec", "--stdin", "writer", "--", "env", _, "python", "-", action, _, *rest]:
                return self._writer(action, rest)
            case ["exec", pod, "--", "nfsw", *command]:
                return self._nfsw(next(one for one in state["pods"] if pod in ("deployment/nfsw", one["name"])), command)
            case ["exec", pod, "--", "python", "-c", code]:
                if "getuid" in code:
                    return state["uid"]
                state["pods"] = [self._pod(one["session"]) if one["name"] == pod else one for one in state["pods"]]  # evicted
            case ["wait", *_] | ["create", "secret", *_] | ["rollout", "status", _]:
                pass
            case _:
                sys.exit(f"the fake kubectl does not know: {arguments}")
        return ""

    def _deploy(self, site: Path) -> None:
        patches = "".join(file.read_text() for file in site.glob("cluster-test-*.yaml"))
        found = re.search(r"replicas: (\d+)", patches)
        replicas = int(found[1]) if found else 1
        self.state["volumes"] = re.findall(r"^  name: (\S+)$", (site / "../../base/storage.yaml").read_text(), re.MULTILINE)[:1]
        self.state["uid"] = "1000" if "runAsUser: 1000" in patches else "0"
        pods = self.state["pods"][:replicas]
        while len(pods) < replicas:
            pods.append(self._pod("first" if not pods else None))
        if "APP_WORKERS=0" in (site / "site.env").read_text():
            pods.append({**self._pod(None), "refused": True})
        self.state["pods"] = pods

    def _pod(self, session: str | None) -> dict[str, Any]:
        self.state["serial"] += 1
        return {"name": f"nfsw-{self.state['serial']}", "session": session, "refused": False}

    def _writer(self, action: str, rest: list[str]) -> object:
        if action == "put":
            self.state["files"].append(rest[1])
        if action != "missing":
            return ""
        waiting, self.state["files"] = self.state["files"], []
        return [f"{name} is not in Azure" for name in waiting if name == "file-1.bin"]  # the first time alone: to wait costs time

    def _nfsw(self, pod: dict[str, Any], command: list[str]) -> object:
        match command:
            case ["status", "--json"]:
                files = [{"file": name, "done": 1, "size": 2} for name in self.state["files"] if pod["session"] == "first"]
                return {"session": {"name": pod["session"]} if pod["session"] else None, "in_flight": files}
            case ["start", session]:
                if any(one["session"] == session and one is not pod for one in self.state["pods"]):
                    sys.exit(f"nfsw: session {session} is held by another pod")
                pod["session"] = session
            case ["stop"]:
                pod["session"] = None
        return ""


def _shown(pod: dict[str, Any]) -> object:
    ended = {"terminated": {"exitCode": 2, "message": "APP_WORKERS: at least 1"}} if pod["refused"] else {}
    container = {"ready": not pod["refused"], "state": ended, "lastState": {}}
    return {"metadata": {"name": pod["name"]}, "status": {"phase": "Running", "containerStatuses": [container]}}


def main() -> None:
    words = sys.argv[1:]
    if words[0] in ("--namespace", "-n"):
        words = words[2:]
    cluster = Cluster()
    cluster.state["asked"].append(" ".join(sys.argv[1:]))
    for variable in ("FAKE_FAILS", "FAKE_INTERRUPTS"):
        if (text := os.environ.get(variable)) and text in cluster.state["asked"][-1]:
            STATE.write_text(json.dumps(cluster.state))
            if variable == "FAKE_INTERRUPTS":
                os.kill(os.getppid(), signal.SIGINT)
            sys.exit(f"error: the cluster says no to {text}")
    answer = cluster.answer(words)
    STATE.write_text(json.dumps(cluster.state))
    sys.stdout.write(answer if isinstance(answer, str) else json.dumps(answer))


main()
