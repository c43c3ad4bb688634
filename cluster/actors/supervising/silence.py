"""For how long somebody has not answered. Pure: it holds no clock."""

from __future__ import annotations

from dataclasses import dataclass

# A standstill of a few seconds (a debugger, a swap storm) heals by itself, and connections outlive one of six. By
# reasoning: nobody waits for one of a quarter of a minute without asking who is to blame.
HUNG_S = 15.0
MOST_COUNTED_S = 1.0


@dataclass(slots=True)
class Silence:
    """Counts what this process has seen itself: where it stood still, too, the other one may be as well as before."""

    length_s: float = 0.0
    _looked_s: float | None = None

    def go_on(self, now_s: float) -> bool:
        """Still no answer at `now_s`. Whether it took too long."""
        if self._looked_s is not None:
            self.length_s += min(now_s - self._looked_s, MOST_COUNTED_S)
        self._looked_s = now_s
        return self.length_s >= HUNG_S

    def end(self) -> None:
        """An answer came."""
        self.length_s, self._looked_s = 0.0, None
