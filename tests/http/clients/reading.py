"""A task for agents: to read files, one after the other, and to tell what all of them say."""

from __future__ import annotations

import re
from pathlib import Path

from tests.http.scripted.calling import call_of, results_of, tools_of
from tests.http.scripted.server import Answer

TASK = "What do the files say?"
NUM_FILES = 3
TOLD = "They say a green owl 0, a green owl 1, a green owl 2."


def files_in(folder: Path) -> list[Path]:
    """The files, written."""
    files = [folder / f"owl-{number}.txt" for number in range(NUM_FILES)]
    for number, file in enumerate(files):
        file.write_text(f"a green owl {number}\n")
    return files


def reading(tool: str, parameter: str, files: list[Path]) -> Answer:
    """The script: each file is read by that tool, whose parameter is its path. TOLD at the end, if all was read."""

    def answer(prompt: str) -> str:
        if tool not in tools_of(prompt):
            return "Owls"  # what such a program asks beside the task, as for a title
        results = results_of(prompt)
        if len(results) < len(files):
            return call_of(tool, {parameter: str(files[len(results)])})
        return (
            f"They say {', '.join(found for result in results for found in re.findall(r'a green owl [0-9]', result))}."
        )

    return answer
