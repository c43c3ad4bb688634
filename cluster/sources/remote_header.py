"""The header of a GGUF that is far away, fetched in growing ranges until it parses."""

from __future__ import annotations

from cluster.api.errors import ModelFileError
from cluster.cutting.header import Header, parse_header
from cluster.store.origin import Origin
from ggml.gguf.cursor import HeaderIncomplete
from ggml.gguf.limits import MAX_HEADER_BYTES

FIRST_BYTES = 64 << 10
GROWTH = 2  # a header of n bytes takes few requests, and less than n * GROWTH bytes


def fetch_header(origin: Origin, file_size_bytes: int) -> tuple[Header, bytes]:
    """The header, validated, and its bytes. The origin covers one file from its start.

    No more than MAX_HEADER_BYTES are fetched, whatever the header claims. ModelFileError as for a file; the
    origin's errors.
    """
    (start, _) = origin.covers[0]
    limit = min(file_size_bytes, MAX_HEADER_BYTES)
    data = bytearray()
    wanted = min(FIRST_BYTES, limit)
    while True:
        for chunk in origin.read(start + len(data), start + wanted):
            data += chunk
        try:
            header = parse_header(memoryview(bytes(data)), origin.name, file_size_bytes)
        except HeaderIncomplete as incomplete:
            if wanted >= limit:
                raise ModelFileError(f"{origin.name}: header: incomplete after {wanted} bytes") from incomplete
            wanted = min(limit, max(incomplete.needed_bytes, wanted * GROWTH))
        else:
            return header, bytes(data[: header.data_start])
