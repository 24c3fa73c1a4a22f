"""What of its environment the main process hands to children that speak to NFS alone: nothing that may be a key to something else."""

from collections.abc import Mapping

#: How the names of variables begin that may hold a key, a token or a password: our settings, what the Azure SDK and its managed
#: identities read, headers for the collector. A child gets its settings by its channel.
_MAY_BE_SECRET = ("APP_", "AZURE_", "IDENTITY_", "MSI_", "OTEL_")
#: Proxies' addresses may hold a password.
_PROXY = "_proxy"


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(_MAY_BE_SECRET) and not name.lower().endswith(_PROXY)}
