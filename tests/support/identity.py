"""A managed identity's token endpoint on loopback, as App Service has one: the real DefaultAzureCredential asks it."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

#: What a caller must say to be the pod itself.
HEADER = "only-this-pod"
LIFETIME_S = 3600


class Identity:
    """Counts the tokens it gave. With `refuses` set it gives none."""

    def __init__(self, port: int) -> None:
        self.environment = {"IDENTITY_ENDPOINT": f"http://127.0.0.1:{port}/token", "IDENTITY_HEADER": HEADER}
        self.given = 0
        self.refuses = False

    def answer(self, header: str | None, resource: str) -> tuple[HTTPStatus, dict[str, object]]:
        if self.refuses or header != HEADER:
            return HTTPStatus.FORBIDDEN, {"statusCode": 403, "message": "no such identity"}
        self.given += 1
        expires = int(time.time()) + LIFETIME_S
        return HTTPStatus.OK, {"access_token": _token(expires), "expires_on": str(expires), "resource": resource, "token_type": "Bearer"}


@contextmanager
def identity_endpoint() -> Iterator[Identity]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            (resource,) = parse_qs(urlsplit(self.path).query)["resource"]
            status, answer = identity.answer(self.headers.get("X-IDENTITY-HEADER"), resource)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the test's own output stays readable."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    identity = Identity(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, name="identity endpoint", daemon=True)
    thread.start()
    try:
        yield identity
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _token(expires: int) -> str:
    """A JSON web token. Azurite reads its claims and leaves the signature alone."""
    claims = {
        "aud": "https://storage.azure.com",
        "iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/",
        "iat": expires - LIFETIME_S,
        "nbf": expires - LIFETIME_S,
        "exp": expires,
    }
    parts = (json.dumps(part).encode() for part in ({"alg": "RS256", "typ": "JWT"}, claims))
    return ".".join([*(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts), "c2lnbmF0dXJl"])
