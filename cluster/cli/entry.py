"""Where the `cluster` command begins: Ctrl-C ends it with one line and exit code 130, from here on and to the end.

Imports almost nothing by itself: before the first handler is set, Ctrl-C would end in a traceback.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    Handler = Callable[[int, FrameType | None], object]

INTERRUPTED = 130  # 128 + SIGINT, as a shell has it


def main() -> int:
    """The installed command: `cluster.cli.command.main`, with Ctrl-C in good hands. Returns the exit code."""
    # Nothing has been started while modules are loaded: there is nothing to clean up.
    _on_interrupt(_leave)
    from cluster.cli.command import main as run

    sys.unraisablehook = _unraisable
    try:
        _on_interrupt(_interrupt)
        return run()
    except KeyboardInterrupt:
        _say()
        return INTERRUPTED
    finally:
        # What there was to clean up is done. Python's own way out takes a while, and ends in a traceback otherwise.
        _on_interrupt(_leave_without_a_word)


def _on_interrupt(handler: Handler) -> None:
    """Set the handler of SIGINT, unless it is ignored, as a shell wants it for what it runs in the background."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; in the middle of an import only if asked a second time, else right behind it.

    C code that imports what it needs takes an interrupt for a module that is missing, and says so (numpy at length).
    """
    if sys.getprofile() is _raise_later or not _would_be_lost(frame):
        sys.setprofile(None)
        raise KeyboardInterrupt
    sys.setprofile(_raise_later)


def _unraisable(what: sys.UnraisableHookArgs) -> None:
    """An interrupt that came where Python swallows exceptions, as in a finaliser, comes again right behind it."""
    if isinstance(what.exc_value, KeyboardInterrupt):
        sys.setprofile(_raise_later)
    else:
        sys.__unraisablehook__(what)


def _raise_later(frame: FrameType, event: str, argument: object) -> None:
    """A profile function: Python calls it at the next call or return, whatever that is."""
    if not _would_be_lost(frame):
        sys.setprofile(None)
        raise KeyboardInterrupt


def _would_be_lost(frame: FrameType | None) -> bool:
    """Whether `frame` is part of an import, or of our hook for what was swallowed."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib") or frame.f_code is _unraisable.__code__:
            return True
        frame = frame.f_back
    return False


def _leave(number: int, frame: FrameType | None) -> None:
    _say()
    os._exit(INTERRUPTED)


def _leave_without_a_word(number: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)


def _say() -> None:
    os.write(2, b"cluster: interrupted\n")
