"""cluster.toml, which `cluster connect` prints: how to reach a cluster, and what proves that one may."""

from __future__ import annotations

import difflib
import os
import re
import ssl
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.api.errors import UsageError
from cluster.node.private import read_unshared
from cluster.node.secret import Secret
from cluster.wire.access.endpoint import Endpoint
from cluster.wire.transport.channel import check_address
from cluster.wire.transport.tls import CallerTls

SUFFIX = ".toml"
MAX_FILE_BYTES = 64 << 10  # ours have some 1,000
KEYS = ("address", "server_name", "ca", "key")
ADVICE = "run cluster connect on a node of the cluster, and use what it prints"
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class ClusterFile:
    """`server_name` and `ca_pem` are both "" where the cluster speaks plaintext: on one machine, or by --insecure."""

    address: str  # host:port
    key: Secret  # what clients are asked for; it is proved, and never sent
    server_name: str = ""  # whom the certificate at the address must name
    ca_pem: str = ""  # of the cluster's authority

    @property
    def endpoint(self) -> Endpoint:
        tls = CallerTls(self.server_name, self.ca_pem.encode("ascii")) if self.ca_pem else None
        return Endpoint(self.address, self.key, tls)

    @property
    def text(self) -> str:
        """As TOML."""
        lines = [f'address = "{self.address}"']
        if self.ca_pem:
            lines += [f'server_name = "{self.server_name}"', f'ca = """\n{self.ca_pem.strip()}\n"""']
        return "\n".join([*lines, f'key = "{self.key.text}"', ""])


def read_cluster_file(path: Path) -> ClusterFile:
    """UsageError where there is none or it says what cannot be; ClusterError where others may read or write it."""
    try:
        content = read_unshared(path, MAX_FILE_BYTES)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: there is no such file; {ADVICE}") from error
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}; {ADVICE}") from error
    try:
        return parse_cluster_file(content)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def parse_cluster_file(content: bytes) -> ClusterFile:
    """UsageError names the key that is wrong, and repeats no secret."""
    try:
        found = tomllib.loads(content.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        where = re.search(r"\(at [^()]*\)", str(error))  # the rest may quote a line
        raise UsageError(f"no TOML {where.group() if where else ''}; {ADVICE}".replace(" ;", ";")) from None
    for name in found:
        if name not in KEYS:
            near = difflib.get_close_matches(name, KEYS, 1)
            hint = f"did you mean {near[0]}" if near else f"give {', '.join(KEYS)}"
            raise UsageError(f"{name[:40]!a}: unknown; {hint}")
    address, key = _text(found, "address"), _text(found, "key")
    check_address(address)
    secret = Secret.of_text(key)
    if "ca" not in found and "server_name" not in found:
        return ClusterFile(address, secret)
    name, ca = _text(found, "server_name"), _text(found, "ca")
    if not _NAME.fullmatch(name):
        raise UsageError(f"server_name: {name[:40]!a} is no name; {ADVICE}")
    _check_ca(ca)
    return ClusterFile(address, secret, name, ca)


def is_file_name(address: str | os.PathLike[str]) -> bool:
    """Whether what a caller gave as an address is the path of such a file."""
    return not isinstance(address, str) or address.endswith(SUFFIX)


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not value:
        raise UsageError(f"{name}: it is missing, or no text; {ADVICE}")
    return value


def _check_ca(pem: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=pem)
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(f"ca: no certificates in PEM; {ADVICE}") from error
    if not context.get_ca_certs():
        raise UsageError(f"ca: none of them is of an authority; {ADVICE}")
