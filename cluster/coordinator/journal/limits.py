"""How much the journal writes, and how much of what it finds it takes for its own."""

from __future__ import annotations

from cluster.wire.limits import MAX_MESSAGE_BYTES

# "The 2-core machine" is that of cluster.engine.cost.tuning. Eight requests in turn, each token 20 bytes:

# Bytes of a file that is still added to. The 2-core machine: a new coordinator reads so many in 1.6 s, of which one
# token in seven is still open; and with 4,000 tokens a second they are reached in 100 s.
MAX_BYTES = 8 << 20
# Bytes of the old file that are copied between two writes. The 2-core machine: 1 to 2 ms, as long as a step of the
# smallest models.
COPY_BYTES = 16 << 10
# Seconds. By reasoning: a full disk is noticed and emptied by somebody; to try costs nothing.
RETRY_S = 10.0

READ_BYTES = 64 << 10  # at once

# What is read back. What would be more was not written by us, or could not be told to a client either.
MAX_FRAME_BYTES = MAX_MESSAGE_BYTES
MAX_FILE_BYTES = 256 << 20
MAX_OPEN = 1 << 14  # requests
MAX_EVENTS = 1 << 22  # of all open requests together; Python takes some 250 bytes for each
COLUMN_TOKENS = 1 << 10  # in one record, where there are more
TICKET_BYTES = 16
