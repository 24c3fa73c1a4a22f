"""Several pods on one share and one container: real processes, each with a name, a port and staging of its own."""

import pytest

from tests.pods.company import Company
from tests.support.site import Site


@pytest.fixture
def company(linked: Site) -> Company:
    return Company(linked)
