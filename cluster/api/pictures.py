"""How large pictures may be, for those who send them and those who take them."""

from __future__ import annotations

# Of one picture, as a file; several of them and their text travel in one message, which has a limit, too.
MAX_PICTURE_BYTES = 10 << 20
MAX_PICTURES_BYTES = 12 << 20
MAX_PICTURES = 32  # in one prompt
