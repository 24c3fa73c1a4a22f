"""Admission: whether this pod may hold sessions and claim files, as far as Azure is concerned. Main process; no I/O.

It is the only place that decides that. Until the container has answered once, this pod takes no lock and claims nothing: with
wrong credentials it would only move files about, and keep sessions from healthy pods. That is latched, since a later outage is
waited out with the sessions held. A clock that is far off claims nothing for as long as it is: the date of a claim is part of
the blob's name, and a wrong date would overwrite another day's blob. Files that are claimed already are finished all the same.
"""

import time

#: The largest difference between Azure's clock and ours at which files are claimed, in seconds.
MOST_CLOCK_DIFFERENCE_S = 600.0


class Admission:
    def __init__(self) -> None:
        #: Why the container is not known to be there and ours to use; None: it has answered.
        self._container: str | None = "the Azure container has not answered yet"
        #: Azure's clock less CLOCK_MONOTONIC, in seconds; None: not measured yet.
        self._azure_clock: float | None = None

    def container_answered(self) -> None:
        self._container = None

    def container_refused(self, reason: str) -> None:
        """It says nothing of a container that has answered before: that one will be back."""
        if self._container is not None:
            self._container = f"the Azure container cannot be used: {reason}"

    def clock_measured(self, azure: float, at: float) -> None:
        """Azure said that it was `azure` (seconds since the epoch) at `at` (seconds, CLOCK_MONOTONIC)."""
        self._azure_clock = azure - at

    def session_refusal(self) -> str | None:
        """Why no session may be held; None: it may."""
        return self._container

    def claim_refusal(self) -> str | None:
        """Why no file may be claimed; None: it may. It follows our own clock when that is set, with no new word from Azure."""
        if self._container is not None or self._azure_clock is None:
            return self._container
        ahead_s = time.time() - (self._azure_clock + time.monotonic())
        if abs(ahead_s) <= MOST_CLOCK_DIFFERENCE_S:
            return None
        direction = "ahead of" if ahead_s > 0 else "behind"
        return f"this pod's clock is {abs(ahead_s):.0f} s {direction} Azure's, so no file is claimed"
