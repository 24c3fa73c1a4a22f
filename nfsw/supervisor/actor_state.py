"""What state an actor is in, as the supervisor and the status have it. Main process, and the client."""

from enum import StrEnum


class ActorState(StrEnum):
    #: Its process has been started and has not reported yet.
    STARTING = "starting"
    #: It takes messages.
    RUNNING = "running"
    #: One of its NFS calls is older than the hang timeout, or it shows no heartbeat.
    HUNG = "hung"
    #: It died and its replacement has not been started yet.
    RESTARTING = "restarting"
    #: It died too often; the pod has to be restarted.
    GAVE_UP = "gave_up"
