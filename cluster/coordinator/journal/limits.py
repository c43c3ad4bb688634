"""How much the journal writes, and how much of what it finds it takes for its own."""

from __future__ import annotations

from cluster.wire.limits import MAX_MESSAGE_BYTES

# "The 2-core machine" is that of cluster.engine.cost.tuning. Eight requests in turn, each token 20 bytes:

# Bytes of a file that is still added to. The 2-core machine: with 4,000 tokens a second they are reached in 20 s; a new
# coordinator reads them in 0.15 s, if one token in sixty is still open; and to put a copy in the file's place, which
# frees its pages, takes 1.3 ms.
MAX_BYTES = 2 << 20
# Bytes of the old file that are copied behind a write. The 2-core machine: 0.15 ms, a tenth of a step of the
# smallest models.
COPY_BYTES = 2 << 10
# Seconds. By reasoning: a full disk is noticed and emptied by somebody; to try costs nothing.
RETRY_S = 10.0

READ_BYTES = 64 << 10  # at once

# What is read back. What would be more was not written by us, or could not be told to a client either.
MAX_FRAME_BYTES = MAX_MESSAGE_BYTES
MAX_FILE_BYTES = 256 << 20
MAX_OPEN = 1 << 14  # requests
MAX_EVENTS = 1 << 22  # of all open requests together; Python takes some 250 bytes for each
COLUMN_TOKENS = 1 << 8  # in one record, where there are more
TICKET_BYTES = 16
