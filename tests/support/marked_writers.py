"""Writers that leave a marker beside each complete file, and sometimes make a name's next version before the one before was taken."""

import os
import random
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.content import KIB, Content, some_bytes
from tests.support.site import Site

SUFFIX = ".done"
_SESSION = "s"


@dataclass(slots=True)
class MarkedWriter:
    """One writer, with names of its own: some are used once, some again and again. `pause_s`: between the parts of a file."""

    site: Site
    number: int
    names: int  # that are used again and again
    pause_s: float
    versions: int = 0

    def write(self, files: int) -> None:
        chance = random.Random(self.number)
        for count in range(files):
            time.sleep(chance.uniform(0, self.pause_s))
            kind = chance.choice(("in parts", "replaced", "replaced", "replaced and marked later"))
            name = f"{self.number} once {count}.bin" if kind == "in parts" else f"{self.number} again {chance.randrange(self.names)}.bin"
            self._make(name, kind, chance)

    def _make(self, name: str, kind: str, chance: random.Random) -> None:
        path = self.site.incoming(_SESSION) / name
        content = some_bytes(chance.getrandbits(32), 3 * chance.choice((100, 5 * KIB, 300 * KIB)))
        part = len(content) // 3
        self.site.expect(_SESSION, name, Content.of([content]))
        if kind == "in parts":  # closed in between, as if it were complete
            for start in range(0, len(content), part):
                with path.open("r+b" if start else "xb") as file:
                    file.seek(0, os.SEEK_END)
                    file.write(content[start : start + part])
                time.sleep(self.pause_s)
        else:
            made = path.with_name(f".{name}")
            made.write_bytes(content)
            made.replace(path)
            if kind == "replaced and marked later":
                time.sleep(chance.uniform(0, self.pause_s))
        path.with_name(name + SUFFIX).touch()
        self.versions += 1


def mark_anew(site: Site, waiting_s: float) -> int:
    """What the manual tells people: files that wait although they have a marker, since it is older, get it anew. Returns how many."""
    anew = 0
    for marker in site.incoming(_SESSION).glob(f"*{SUFFIX}"):
        file = Path(str(marker).removesuffix(SUFFIX))
        try:
            seen, seen_marker = file.stat(), marker.stat()
        except FileNotFoundError:
            continue
        if seen.st_ctime_ns > seen_marker.st_ctime_ns and time.time() - seen.st_ctime > waiting_s:
            marker.touch()
            anew += 1
    return anew
