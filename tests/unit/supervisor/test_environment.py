"""What the environment of a child that speaks to NFS alone has in it, and what not."""

import pytest

from nfsw.supervisor.environment import without_secrets


@pytest.mark.parametrize(
    "name",
    [
        "APP_AZURE_CONNECTION_STRING",
        "APP_AZURE_ACCOUNT_URL",
        "AZURE_CLIENT_SECRET",
        "AZURE_FEDERATED_TOKEN_FILE",
        "IDENTITY_HEADER",
        "MSI_SECRET",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "HTTPS_PROXY",
        "https_proxy",
    ],
)
def test_what_may_be_a_key_is_left_out(name: str) -> None:
    assert without_secrets({name: "a secret"}) == {}


@pytest.mark.parametrize("name", ["PATH", "HOME", "LANG", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH", "NFSW_TEST_MARK"])
def test_what_an_interpreter_needs_is_kept(name: str) -> None:
    assert without_secrets({name: "a value"}) == {name: "a value"}
