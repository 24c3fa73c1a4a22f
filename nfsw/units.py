"""Bytes, rates and spans of time as people read them. Pure; every process."""


def size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024:
            return f"{count:.{0 if unit == 'B' or count >= 100 else 1}f} {unit}"
        count /= 1024
    return f"{count:.{0 if count >= 100 else 1}f} PiB"


def rate(per_second: float) -> str:
    return f"{size(per_second)}/s"


def percent(done: int, of: int) -> str:
    """Rounded down: 100% is all of it."""
    return f"{done * 100 // of}%" if of else "100%"


def span(seconds: float) -> str:
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"
