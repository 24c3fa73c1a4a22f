"""Why a request to Azure failed, as one of a few errors that say what can be done about it. Uploader process, and the doctor.

The message of each is one line for people. It names the cause, and Azure's id of the request, which a support case needs. It never
holds a secret: signatures, keys, tokens and passwords are replaced.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError, ResourceExistsError, ResourceModifiedError

#: The header by which Azure names a request. An answer without it was not given by Azure.
REQUEST_ID = "x-ms-request-id"

#: What a request is answered that is not itself at fault, besides 500 and more: it took too long, or there are too many.
_PASSING = (408, 429)

#: Characters of a reason that are kept: a log line and a status entry have room for that.
_LONGEST = 600
#: Characters that are kept of what one kind of credential says.
_LONGEST_CREDENTIAL = 400

#: What the service calls it when a body is not what its checksum says.
_OTHER_BYTES = ("Crc64Mismatch", "Md5Mismatch", "InvalidMd5")

#: What is before a secret is kept, the secret itself is not: of a SAS, a connection string, a header, a form, an answer with a
#: token, the address of a proxy, and Azure's word on a wrong signature.
_SECRETS = (
    re.compile(r"(\bsig=)[^&\s\"';]+", re.IGNORECASE),
    re.compile(r"(\b(?:AccountKey|client_secret|client_assertion|password)\s*=\s*)[^&\s\"';]+", re.IGNORECASE),
    re.compile(r"(\b(?:access_token|refresh_token|id_token|client_secret)\"?'?\s*[:=]\s*\"?'?)[^&\s\"',}]+", re.IGNORECASE),
    re.compile(r"(\bBearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE),
    re.compile(r"(\bSharedKey(?:Lite)?\s+\w+:)\S+", re.IGNORECASE),
    re.compile(r"(://[^/\s:@'\"]*:)[^@/\s'\"]+(?=@)"),
    re.compile(r"(signature found in the HTTP request ')[^']+", re.IGNORECASE),
)
#: Lines of an error's text that say nothing of the cause, or what is said elsewhere.
_NO_CAUSE = re.compile(r"(?:RequestId|Time|ErrorCode):|For more information on this error|To mitigate this issue", re.IGNORECASE)
#: What one credential of several says, which may be several lines.
_CREDENTIAL = re.compile(r"^\t(\w+Credential): (.*?)(?=^\t\w+Credential\b|^To mitigate|\Z)", re.DOTALL | re.MULTILINE)
#: A credential that nobody has set up says one of these.
_NOT_SET_UP = re.compile(r"unavailable|not fully configured|not found|not installed|could not be found|requires the", re.IGNORECASE)


class StoreTrouble(Exception):
    """A request failed. The message is one line for people."""

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status  # None: no answer of Azure's came
        self.retry_after = retry_after  # seconds

    @property
    def passing(self) -> bool:
        """Whether the service or the way to it is at fault, and not this request."""
        return self.status is None or self.status in _PASSING or self.status >= 500


class NotAzure(StoreTrouble):
    """Something between Azure and us has answered: a proxy, or the sign-in page of a network."""


class Refused(StoreTrouble):
    """The service refuses this request, and will again until somebody changes a right, a rule of the account, or what has the name."""


class ContainerMissing(StoreTrouble):
    """The container is not there: deleted, being deleted, or made so recently that not all of Azure knows it."""


class BlobThere(StoreTrouble):
    """There is another blob of that name than the request asked for."""


class BytesRefused(StoreTrouble):
    """The service received other bytes than the hash that was sent along says."""


class ForeignBlocks(StoreTrouble):
    """Somebody else has left blocks under this name that do not go together with ours."""


@contextmanager
def translated() -> Iterator[None]:
    """Around a call of the SDK: whatever it raises, but for a TimeoutError, becomes StoreTrouble.

    Of an answer that it cannot read it raises what its parsers raise. That is trouble of the way, and no reason to crash.
    """
    try:
        yield
    except (StoreTrouble, TimeoutError):
        raise
    except HttpResponseError as error:
        raise _answered(error) from error
    except (AzureError, OSError) as error:
        raise StoreTrouble(f"no answer: {_reason(_text_of(error))}") from error
    except Exception as error:
        raise StoreTrouble(f"unreadable answer: {_reason(f'{type(error).__name__}: {error}')}") from error


def printable(text: str) -> str:
    """The text on one line, without secrets, and cut."""
    line = " ".join(text.split())
    for secret in _SECRETS:
        line = secret.sub(r"\1***", line)
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "..."


def _answered(error: HttpResponseError) -> StoreTrouble:
    status = error.status_code
    if status is None:
        return StoreTrouble(_credentials(error) if isinstance(error, ClientAuthenticationError) else _reason(error.message))
    if status < 400:
        return StoreTrouble(f"unreadable answer: HTTP {status}: {_reason(error.message)}")
    code, headers = code_of(error), _headers(error)
    kind: type[StoreTrouble] = StoreTrouble
    if code in ("ContainerNotFound", "ContainerBeingDeleted"):
        kind = ContainerMissing
    elif isinstance(error, (ResourceExistsError, ResourceModifiedError)) and code in ("BlobAlreadyExists", "ConditionNotMet"):
        kind = BlobThere
    elif code in _OTHER_BYTES or (code == "InvalidOperation" and "MD5" in (error.message or "")):  # the latter is Azurite's
        kind = BytesRefused
    elif code in ("InvalidBlobOrBlock", "InvalidBlockId", "InvalidBlockList", "BlockCountExceedsLimit"):
        kind = ForeignBlocks
    elif status < 500 and status not in _PASSING:
        kind = Refused
    message = f"HTTP {status} {code or error.reason or ''}".strip() + f": {_reason(error.message)}"
    if request_id := headers.get(REQUEST_ID):
        message += f" (request id {request_id})"
    after = headers.get("Retry-After")
    return kind(message, status=status, retry_after=float(after) if after and after.isdigit() else None)


def _reason(text: str | None) -> str:
    """What of an error's text names the cause."""
    lines = [line for line in (text or "").splitlines() if line.strip() and not _NO_CAUSE.match(line.strip())]
    if lines and lines[0].startswith("<RawResponseMessage"):  # what aiohttp says then is the head of the answer, as Python has it
        return "the connection ended in mid-answer"
    return printable("; ".join(line.strip() for line in lines)) or "no reason given"


def _credentials(error: ClientAuthenticationError) -> str:
    """Why there is no token. Several kinds of credentials are tried in turn; those that nobody has set up are no news."""
    said = [(name, printable(text)) for name, text in _CREDENTIAL.findall(error.message or "")]
    if not said:
        return f"no token: {_reason(error.message)}"
    causes = [(name, text) for name, text in said if not _NOT_SET_UP.search(text)] or said
    return "no token: " + "; ".join(f"{name}: {text[:_LONGEST_CREDENTIAL]}" for name, text in causes[:3])


def _text_of(error: AzureError | OSError) -> str:
    return str(error.message) if isinstance(error, AzureError) else str(error)


def code_of(error: HttpResponseError) -> str | None:
    """The service's own name of the error, such as `BlobNotFound`."""
    code = getattr(error, "error_code", None)
    if code is None:
        code = _headers(error).get("x-ms-error-code")
    return str(getattr(code, "value", code)) if code else None


def _headers(error: HttpResponseError) -> Mapping[str, str]:
    headers: Mapping[str, str] = getattr(error.response, "headers", {})
    return headers
