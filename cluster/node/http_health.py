"""Whether an HTTP server of ours answers."""

from __future__ import annotations

import http.client
import ssl
from urllib.parse import urlsplit

ANSWER_TIMEOUT_S = 2.0
LIVE = "/livez"  # nobody is asked for a key there, and no model for anything


def answers_http(base: str) -> bool:
    """Whether the server at `base`, such as http://127.0.0.1:8000, says that it lives."""
    where = urlsplit(base)
    host, port = where.hostname or "", where.port or 0
    connection: http.client.HTTPConnection
    if where.scheme == "https":
        # Whether its certificate is good is for its clients to judge.
        unchecked = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection(host, port, timeout=ANSWER_TIMEOUT_S, context=unchecked)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", LIVE)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
