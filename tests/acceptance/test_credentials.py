"""DefaultAzureCredential for real: the account over https, the token from a managed identity's endpoint, no key anywhere."""

from collections.abc import Iterator

import pytest

from tests.support.azurite import Endpoint
from tests.support.blobs import Container
from tests.support.content import MIB, some_bytes
from tests.support.identity import Identity
from tests.support.site import Site, site_in


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory, secured: Endpoint) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    container = Container(secured, folder.name.replace("site", "site-"))
    with site_in(folder, secured, container) as own:
        yield own
    container.close()


def settings(endpoint: Endpoint, identity: Identity) -> dict[str, str]:
    return {
        "APP_AZURE_CONNECTION_STRING": "",
        "APP_AZURE_ACCOUNT_URL": endpoint.account_url,
        "SSL_CERT_FILE": str(endpoint.authority),
        **identity.environment,
    }


def test_files_are_sent_with_a_token_of_the_managed_identity(site: Site, secured: Endpoint, identity: Identity) -> None:
    site.serve(**settings(secured, identity)).start_session("s")
    assert identity.given > 0
    site.write("s", "small.bin", b"small")
    site.write("s", "large.bin", some_bytes(1, 70 * MIB))
    site.all_arrived()


def test_an_identity_that_gets_no_token_is_exit_1(site: Site, secured: Endpoint, identity: Identity) -> None:
    identity.refuses = True
    assert site.launch(**settings(secured, identity)).reason_for_exit_1()
    assert identity.given == 0


def test_a_setting_of_the_credential_that_is_none_is_exit_1_and_named(site: Site, secured: Endpoint, identity: Identity) -> None:
    """It is Azure's own, and only its SDK knows what it may be."""
    wrong = {"AZURE_TENANT_ID": "a\nb", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "d"}
    assert "tenant" in site.launch(**settings(secured, identity), **wrong).reason_for_exit_1().lower()
