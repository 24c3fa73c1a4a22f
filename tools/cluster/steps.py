"""What is tried, in order. Each step begins and ends with a settled installation, and says in a few words what it has seen."""

from collections.abc import Callable

from tools.cluster.commands import Failed
from tools.cluster.trial import SOON, Trial, until

#: More than the emptyDir's sizeLimit in fit.yaml.
FILL = """
with open("/var/lib/nfsw/staging/fill", "wb") as file:
    for _ in range(600):
        file.write(bytes(2**20))
"""


def install(trial: Trial) -> str:
    trial.start_tools()
    trial.block("namespace")
    trial.block("secret", **{"'...'": f"'{trial.connection}'"})
    trial.block("copy")
    trial.edit_site()
    trial.block("apply")
    trial.settled()
    lines = trial.block("doctor").splitlines()
    return f"ready; nfsw doctor prints {len(lines)} lines and ends with 0"


def main_job(trial: Trial) -> str:
    trial.block("first-session")
    for mib in (0, 0.001, 5, 70):
        trial.put(mib)
    return trial.arrived()


def pod_deleted(trial: Trial) -> str:
    pod = trial.in_the_middle(trial.put(128))
    trial.service.kubectl("delete", "pod", pod)
    trial.settled()
    return f"{pod}; {trial.arrived()}"


def rollout(trial: Trial) -> str:
    trial.in_the_middle(trial.put(128))
    trial.block("restart")
    (pod,) = trial.settled()
    until(lambda: trial.has_session(pod, "first"), what="the new pod has resumed the session")
    return f"the new pod has resumed the session; {trial.arrived()}"


def three_pods(trial: Trial) -> str:
    trial.edit_site(replicas=3)
    trial.block("apply")
    pods = trial.settled(3)
    holder = until(lambda: next((pod for pod in pods if trial.has_session(pod, "first")), None), what="a pod holds the session")
    free = [pod for pod in pods if pod != holder]
    trial.block("several", **{"nfsw-6d5f9c7b8-abcde": free[0], "nfsw-6d5f9c7b8-fghij": free[1]})
    for session in ("first", "camera-1", "camera-2"):
        trial.put(20, session)
    for pod in free:
        try:
            trial.service.kubectl("exec", pod, "--", "nfsw", "start", "first")
        except Failed:
            continue
        raise AssertionError(f"{pod} has started a session that {holder} holds")
    arrived = trial.arrived()
    for pod in free:
        trial.service.kubectl("exec", pod, "--", "nfsw", "stop")
        until(lambda: trial.has_session(pod, None), what=f"{pod} has ended its session")  # noqa: B023 - called before the next pod
    trial.edit_site()
    trial.block("apply")
    trial.settled()
    return f"three sessions at a time; {arrived}"


def eviction(trial: Trial) -> str:
    pod = trial.in_the_middle(trial.put(128))
    trial.service.kubectl("exec", pod, "--", "python", "-c", FILL)
    # The event alone is sure: a newer kubelet shows a pod that has ended with 0 as completed.
    events = ["get", "events", "--field-selector", f"involvedObject.name={pod},reason=Evicted", "--output", "name"]
    until(lambda: trial.service.kubectl(*events), what=f"{pod} is evicted, its staging over the emptyDir's sizeLimit")
    trial.service.kubectl("delete", "pod", pod)  # it would stay on the list
    trial.settled()
    return f"{pod}, its staging gone; {trial.arrived()}"


def wrong_settings(trial: Trial) -> str:
    (old,) = trial.settled()
    trial.edit_site(APP_WORKERS="0")
    trial.service.kubectl("apply", "--kustomize", "k3s/overlays/site")

    def last_words() -> str | None:
        containers = (one for pod in trial.pods() for one in pod["status"].get("containerStatuses", []))
        ended = (one["state"].get("terminated") or one["lastState"].get("terminated") or {} for one in containers)
        return next((one.get("message", "nothing") for one in ended if one.get("exitCode") == 2), None)

    said = until(last_words, what="the new pod ends with exit code 2")
    assert "APP_WORKERS" in said, f"the pod's last words do not name the setting: {said}"
    trial.put(1)
    arrived = trial.arrived()
    trial.block("undo")
    assert trial.settled() == [old], "another pod than the old one goes on"
    return f"exit code 2, APP_WORKERS named, the old pod goes on; {arrived}"


def non_root(trial: Trial) -> str:
    trial.service.kubectl("scale", "deployment/nfsw", "--replicas=0")
    trial.service.kubectl("wait", "--for=delete", "pod", "--selector", "app.kubernetes.io/name=nfsw", f"--timeout={SOON:.0f}s")
    trial.inside("own", "1000")
    trial.edit_site(trial.manual["non-root"].replace("namespace: nfsw", f"namespace: {trial.name}"))
    trial.block("apply")
    (pod,) = trial.settled()
    user = trial.service.kubectl("exec", pod, "--", "python", "-c", "import os; print(os.getuid())").strip()
    assert user == "1000", f"the service runs as user {user}"
    trial.put(20, uid=1000)
    return f"user 1000 without a capability; {trial.arrived()}"


STEPS: dict[str, Callable[[Trial], str]] = {
    "install by the manual": install,
    "main job": main_job,
    "pod deleted in mid-transfer": pod_deleted,
    "rollout in mid-transfer": rollout,
    "three pods": three_pods,
    "eviction in mid-transfer": eviction,
    "wrong settings": wrong_settings,
    "not root": non_root,
}
