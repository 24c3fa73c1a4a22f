"""Numbers and names as people read them, on a terminal. Pure functions; in clients."""

from nfsw.actors.names import shown

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def safe(text: str) -> str:
    """`text` in one line that does nothing to a terminal, whatever it holds."""
    return shown(text.encode("utf-8", "backslashreplace").decode())


def size(count: float) -> str:
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count /= 1024
        unit += 1
    return f"{count:.{0 if unit == 0 or count >= 100 else 1}f} {_UNITS[unit]}"


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
