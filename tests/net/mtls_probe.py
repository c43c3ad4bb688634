"""What a port says to whoever comes with a certificate, or with none.

Runs alone on a host: ``python -I mtls_probe.py ADDRESS PORT CA [CERTIFICATE KEY]`` writes a JSON object. "speaks": the
server took us for one of its own and began HTTP/2; in TLS 1.3 a server that refuses a client's certificate says so only
after the handshake. "said": how it ended otherwise. "names": of the server's certificate, which CA must have signed.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys

HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"  # and empty settings
TIMEOUT_S = 10.0


def probe(address: str, port: int, ca: str, pair: tuple[str, str] | None) -> dict[str, object]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(ca)
    context.set_alpn_protocols(["h2"])
    if pair is not None:
        context.load_cert_chain(*pair)
    found: dict[str, object] = {"speaks": False, "said": "", "names": []}
    try:
        with (
            socket.create_connection((address, port), TIMEOUT_S) as plain,
            context.wrap_socket(plain) as connection,
        ):
            certificate = connection.getpeercert() or {}
            found["names"] = [str(pair[1]) for pair in certificate.get("subjectAltName", ())]
            connection.sendall(HTTP_2)
            answer = connection.recv(9)
            found["speaks"] = len(answer) == 9 and answer[3] == 4
            found["said"] = answer.hex()
    except OSError as error:
        found["said"] = f"{type(error).__name__}: {error}"
    return found


if __name__ == "__main__":
    given = sys.argv[4:6]
    pair = (given[0], given[1]) if given else None
    print(json.dumps(probe(sys.argv[1], int(sys.argv[2]), sys.argv[3], pair)))
