"""`python -m tools.bench.sink`: runs a sink until its standard input closes. The first line on stdout is JSON and names its two ports."""

import argparse
import json
import ssl
import sys
from pathlib import Path

from tools.bench.sink.blobs import BlobApi
from tools.bench.sink.bucket import Bucket
from tools.bench.sink.control import ControlApi
from tools.bench.sink.ledger import Ledger
from tools.bench.sink.server import Server


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.sink", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="of the blob API; 0: any free one")
    parser.add_argument("--cap", type=float, default=None, help="bytes a second that are read, over all connections")
    parser.add_argument("--check", action="store_true", help="answer 400 to a body that is not what its MD5 or CRC64 says")
    parser.add_argument("--certificate", type=Path, default=None, help="PEM with chain and key: the blob API is spoken over TLS")
    options = parser.parse_args()

    ledger, bucket = Ledger(), Bucket(options.cap)
    tls = None
    if options.certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.certificate)
    with Server() as server:
        blobs = server.listen(options.port, BlobApi(ledger, check=options.check), bucket=bucket, tls=tls)
        control = server.listen(0, ControlApi(ledger, bucket))
        sys.stdout.write(json.dumps({"port": blobs, "control": control}) + "\n")
        sys.stdout.flush()
        server.run_until_closed(sys.stdin.buffer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
