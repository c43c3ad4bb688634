"""Stop strings in the text that people see; in calls they mean nothing."""

from __future__ import annotations

from dataclasses import replace

from cluster.chat.formats.part import Part, PartKind

_SEEN = (PartKind.CONTENT, PartKind.REASONING)


class StopStrings:
    """Holds back what may become one of them. None of it is ever sent."""

    def __init__(self, strings: tuple[str, ...]) -> None:
        self._strings = strings
        self._held: Part | None = None
        self.found: str | None = None

    def push(self, parts: list[Part]) -> list[Part]:
        """The parts up to the first stop string, which is `found` then: nothing comes after it."""
        passed: list[Part] = []
        for part in parts:
            if self.found is not None:
                break
            if self._held is not None and self._held.kind is not part.kind:
                passed += self.finish()
            if part.kind not in _SEEN:
                passed.append(part)
                continue
            held, self._held = self._held, None
            passed += self._checked(part if held is None else replace(part, text=held.text + part.text))
        return passed

    def finish(self) -> list[Part]:
        """What was held back, since it became none."""
        held, self._held = self._held, None
        return [] if held is None else [held]

    def _checked(self, part: Part) -> list[Part]:
        text = part.text
        begins = [(text.find(string), string) for string in self._strings if string in text]
        if begins:
            begin, self.found = min(begins)
            return [_cut(part, begin)] if begin else []
        size = max((_overlap(text, string) for string in self._strings), default=0)
        if size:
            self._held = replace(part, text=text[len(text) - size :])
        begin = len(text) - size
        return [_cut(part, begin)] if begin else []


def _cut(part: Part, size: int) -> Part:
    return replace(part, text=part.text[:size], upto=part.upto - len(part.text) + size)


def _overlap(text: str, string: str) -> int:
    """How many characters at the end of `text` begin the stop string."""
    most = min(len(text), len(string) - 1)
    return next((size for size in range(most, 0, -1) if text.endswith(string[:size])), 0)
