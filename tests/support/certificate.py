"""A certificate authority of our own for 127.0.0.1: a bearer token is sent over https only."""

from pathlib import Path

import trustme

from tests.support.azurite import Certificate


def issue(folder: Path) -> Certificate:
    folder.mkdir(parents=True, exist_ok=True)
    issued = Certificate(folder / "authority.pem", folder / "chain.pem", folder / "key.pem")
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(str(issued.authority))
    leaf.private_key_pem.write_to_path(str(issued.key))
    for number, pem in enumerate(leaf.cert_chain_pems):
        pem.write_to_path(str(issued.chain), append=number > 0)
    return issued
