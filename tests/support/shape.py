"""The shape of a status, key by key as the contract has it. More keys may be there; none of these may be missing."""

import re
from datetime import datetime, timedelta
from typing import Any

#: Entries of a list; the counts have all.
MOST_LISTED = 1000
NUMBER = (int, float)
MAYBE_NUMBER = (int, float, type(None))
TEXT = str

SESSION = {"name": TEXT, "state": TEXT, "started_at": TEXT, "resumed": bool}
FILES = dict.fromkeys(
    ("open_for_writing", "waiting_for_marker", "queued", "staging", "uploading", "completed", "failed", "refused", "hidden"), int
)
IN_FLIGHT = {
    "file": TEXT,
    "session": TEXT,
    "date": TEXT,
    "state": TEXT,
    "size": int,
    "done": int,
    "rate": NUMBER,
    "eta_s": MAYBE_NUMBER,
    "attempts": int,
    "error": (str, type(None)),
}
REFUSED = {"file": TEXT, "session": TEXT, "reason": TEXT}
HEALTH = {"state": TEXT, "reason": TEXT, "since": (str, type(None))}
CONDITION = {"kind": TEXT, "state": TEXT, "text": TEXT, "detail": (str, type(None)), "since": TEXT}
BACKLOG = {"files": int, "bytes": int, "counted_at": (str, type(None)), "rate": MAYBE_NUMBER, "eta_s": MAYBE_NUMBER, "limit": MAYBE_NUMBER}
DISK = {"size": int, "free": int, "measured_at": TEXT, "filling": MAYBE_NUMBER, "full_in_s": MAYBE_NUMBER}
ACTOR = {"name": TEXT, "state": TEXT, "pid": (int, type(None)), "restarts": int, "busy_s": NUMBER}


def check_status(status: Any) -> dict[str, Any]:
    _has(status, {"session": (dict, type(None)), "files": dict, "bytes": dict, "in_flight": list, "refused": list, "actors": list})
    if (session := status["session"]) is not None:
        _has(session, SESSION)
        assert session["state"] in {"active", "draining"}, session
        assert session["started_at"].endswith("Z"), session
        assert datetime.fromisoformat(session["started_at"]).utcoffset() == timedelta(0), session
    _has(status["files"], FILES)
    _has(status["bytes"], {"completed": int})
    for flight in status["in_flight"]:
        _has(flight, IN_FLIGHT)
        assert re.fullmatch(r"\d{8}", flight["date"]), flight
        assert flight["state"] in {"staging", "uploading"}, flight
        assert 0 <= flight["done"] <= flight["size"], flight
    for refused in status["refused"]:
        _has(refused, REFUSED)
        assert refused["reason"], refused
    for actor in status["actors"]:
        _has(actor, ACTOR)
    _has(status["health"], HEALTH)
    assert status["health"]["state"] in {"OK", "Waiting", "Trouble"}, status
    for condition in status["conditions"]:
        _has(condition, CONDITION)
    _has(status["backlog"], BACKLOG)
    assert datetime.fromisoformat(status["at"]).utcoffset() == timedelta(0), status
    for disk in status["disks"].values():
        if disk is not None:
            _has(disk, DISK)
    counted = status["files"]
    assert len(status["in_flight"]) == min(MOST_LISTED, counted["staging"] + counted["uploading"]), status
    assert len(status["refused"]) == min(MOST_LISTED, counted["refused"]), status
    return dict(status)


def _has(value: Any, shape: dict[str, Any]) -> None:
    assert isinstance(value, dict), value
    for key, kinds in shape.items():
        assert key in value, f"{key!r} is missing: {value}"
        assert isinstance(value[key], kinds), f"{key!r} is {value[key]!r}: {value}"
        assert not isinstance(value[key], bool) or kinds is bool, f"{key!r} is {value[key]!r}: {value}"
