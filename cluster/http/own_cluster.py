"""Where the coordinator is: of the cluster that this user has started here, or of one that was named."""

from __future__ import annotations

import os
from collections.abc import Callable

from cluster.client.finding import (
    ADDRESS_VARIABLE,
    CONFIG_VARIABLE,
    SECRET_FILE_VARIABLE,
    SECRET_VARIABLE,
    Address,
    SecretOrFile,
    find,
)
from cluster.wire.access.endpoint import Endpoint

FindEndpoint = Callable[[], Endpoint]  # asked with each connection: a repaired cluster may be elsewhere
_VARIABLES = (ADDRESS_VARIABLE, CONFIG_VARIABLE, SECRET_VARIABLE, SECRET_FILE_VARIABLE)


def own_endpoint() -> Endpoint:
    """As the state file says, whatever the environment names. UnreachableError where there is none."""
    for name in _VARIABLES:
        os.environ.pop(name, None)
    return find(None, None).endpoint


def named_endpoint(address: Address | None, secret: SecretOrFile | None) -> FindEndpoint:
    """As `cluster.connect` finds it."""
    return lambda: find(address, secret).endpoint
