"""The text of an error names its cause, on one line, and holds no secret."""

from types import SimpleNamespace

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)

from nfsw.actors.azure_errors import BlobThere, BytesRefused, ContainerMissing, ForeignBlocks, Refused, StoreTrouble, printable, translated

#: As azure-identity words it.
NO_TOKEN = """DefaultAzureCredential failed to retrieve a token from the included credentials.
Attempted credentials:
{}
To mitigate this issue, please refer to the troubleshooting guidelines here at https://aka.ms/azsdk/python/identity/defaultazurecredential."""
NOT_SET_UP = """\tEnvironmentCredential: EnvironmentCredential authentication unavailable. Environment variables are not fully configured.
Visit https://aka.ms/azsdk/python/identity/environmentcredential/troubleshoot to troubleshoot this issue.
\tWorkloadIdentityCredential: WorkloadIdentityCredential authentication unavailable. The workload options are not fully configured."""
REFUSED = """\tEnvironmentCredential: Authentication failed: AADSTS7000215: Invalid client secret provided. Ensure it is the \
secret value. Trace ID: 0f2b Correlation ID: 77aa"""


def said(error: Exception) -> str:
    with pytest.raises(StoreTrouble) as trouble, translated():
        raise error
    assert "\n" not in str(trouble.value)
    assert trouble.value.passing
    return str(trouble.value)


def test_the_reason_of_entra_id_is_told_and_not_only_that_there_is_no_token() -> None:
    told = said(ClientAuthenticationError(NO_TOKEN.format(REFUSED)))
    assert told.startswith("no token: EnvironmentCredential: Authentication failed: AADSTS7000215: Invalid client secret provided.")
    assert "Trace ID: 0f2b" in told


def test_credentials_that_nobody_has_set_up_are_no_news_beside_one_that_fails() -> None:
    lines = f"{NOT_SET_UP}\n\tManagedIdentityCredential: (400) Identity not found\n\tAzureCliCredential: Azure CLI not found on path"
    lines = lines.replace("Identity not found", "invalid_request: no identity is assigned to this node")
    told = said(ClientAuthenticationError(NO_TOKEN.format(lines)))
    assert told == "no token: ManagedIdentityCredential: (400) invalid_request: no identity is assigned to this node"


def test_where_none_is_set_up_each_says_so() -> None:
    told = said(ClientAuthenticationError(NO_TOKEN.format(NOT_SET_UP)))
    assert "EnvironmentCredential: EnvironmentCredential authentication unavailable" in told
    assert "WorkloadIdentityCredential: " in told


@pytest.mark.parametrize(
    "error",
    [ServiceRequestError("Cannot connect"), ServiceResponseError("gone"), ConnectionResetError("reset"), OSError(5, "I/O")],
    ids=repr,
)
def test_a_way_that_is_cut_is_no_answer(error: Exception) -> None:
    assert said(error).startswith("no answer: ")


@pytest.mark.parametrize(
    "error", [ValueError("Deserialization failed"), KeyError("etag"), TypeError("None"), UnicodeDecodeError("a", b"", 0, 1, "")]
)
def test_what_the_sdk_makes_of_an_answer_that_it_cannot_read_is_trouble_that_passes(error: Exception) -> None:
    assert said(error).startswith("unreadable answer: ")


def test_a_deadline_is_none_of_its_business() -> None:
    with pytest.raises(TimeoutError), translated():
        raise TimeoutError


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Cannot reach https://a.blob.core.windows.net/c?sv=2025&sig=SECRET%2Fx%3D&se=2027", "se=2027"),
        ("AccountName=a;AccountKey=SECRET/x==;EndpointSuffix=core.windows.net", "AccountName=a"),
        ("SharedAccessSignature=sv=2025&sig=SECRET", "sv=2025"),
        ("Authorization: Bearer SECRETeyJ0eXAi.Oi.JKV", "Authorization"),
        ("Authorization: SharedKey account:SECRETabc=", "SharedKey account"),
        ("407, message='Proxy Authentication Required', url='http://me:SECRET@proxy:3128'", "@proxy:3128"),
        ("The MAC signature found in the HTTP request 'SECRET=' is not the same as any computed signature", "computed signature"),
        ("grant_type=client_credentials&client_secret=SECRET&scope=s", "scope=s"),
        ('Content: {"access_token": "SECRET", "expires_on": 1}', "expires_on"),
    ],
)
def test_a_secret_in_the_text_of_an_error_is_not_told(text: str, kept: str) -> None:
    told = printable(text)
    assert "SECRET" not in told
    assert kept in told
    assert "SECRET" not in said(ServiceRequestError(text))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (409, "BlockCountExceedsLimit", ForeignBlocks),
        (400, "InvalidBlobOrBlock", ForeignBlocks),
        (400, "Md5Mismatch", BytesRefused),
        (412, "ConditionNotMet", BlobThere),
        (409, "BlobAlreadyExists", BlobThere),
        (404, "ContainerNotFound", ContainerMissing),
        (409, "ContainerBeingDeleted", ContainerMissing),
        (409, "BlobImmutableDueToPolicy", Refused),
        (412, "LeaseIdMissing", Refused),
        (409, "InvalidBlobType", Refused),
        (403, "AuthorizationFailure", Refused),
        (401, "NoAuthenticationInformation", Refused),
        (400, "SomethingNew", Refused),
        (408, "OperationTimedOut", StoreTrouble),
        (429, "TooManyRequests", StoreTrouble),
        (500, "InternalError", StoreTrouble),
        (503, "ServerBusy", StoreTrouble),
    ],
)
def test_an_answer_says_what_can_be_done_about_it(status: int, code: str, kind: type[StoreTrouble]) -> None:
    answer = SimpleNamespace(status_code=status, reason="as it is", headers={"x-ms-error-code": code, "x-ms-request-id": "4711"})
    errors = {404: ResourceNotFoundError, 409: ResourceExistsError, 412: ResourceModifiedError}
    with pytest.raises(StoreTrouble) as trouble, translated():
        raise errors.get(status, HttpResponseError)("what it says", response=answer)
    assert type(trouble.value) is kind
    assert trouble.value.passing == (kind is StoreTrouble)
    assert str(trouble.value) == f"HTTP {status} {code}: what it says (request id 4711)"


def test_a_text_without_end_is_cut() -> None:
    assert len(printable("x" * 10_000)) < 1000
