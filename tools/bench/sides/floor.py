"""The floor: one copy, one read and one send of each byte, by the kernel: `cp` into staging, then `curl -T` of the copy. It proves nothing.

The benchmark's process.
"""

from tools.bench.endpoint import Endpoint
from tools.bench.ground import SESSION, Ground
from tools.bench.sides.program import Call, ProgramSide
from tools.bench.sides.rclone import DATE

#: All files at a time. $0: the folder, $1: staging, $2 and $3: URL of the blobs' prefix, and its query. For names without anything special.
SCRIPT = """
one() {
    cp "$1" "$2" &&
        curl --fail --silent --show-error --header 'x-ms-blob-type: BlockBlob' --header Expect: --upload-file "$2" "$3" &&
        rm "$1" "$2"
}
jobs=
for path in "$0"/*; do
    name=${path##*/}
    one "$path" "$1/$name" "$2/$name?$3" &
    jobs="$jobs $!"
done
for job in $jobs; do wait "$job" || exit 1; done
"""


def floor() -> ProgramSide:
    return ProgramSide("cp+curl", _call)


def _call(ground: Ground, endpoint: Endpoint) -> Call:
    container, _, query = endpoint.sas_url.partition("?")
    prefix = f"{container}/{DATE}/{SESSION}"
    return Call(["/bin/sh", "-c", SCRIPT, str(ground.incoming), str(ground.staging), prefix, query], {})
