"""``devices``: where tensors can lie."""

from __future__ import annotations

import argparse

import worker_native
from ggml.core.devices import devices
from ggml.quantization.report import table

NAME = "devices"
HELP = "list the devices of this process with their memory"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


def run(options: argparse.Namespace) -> None:
    """Print one line for each device."""
    described = {found.name: found.description for found in worker_native.devices()}
    rows = [("device", "ggml", "free MiB", "total MiB", "description")]
    for device in devices():
        free_bytes, total_bytes = device.memory_bytes
        sizes = (f"{free_bytes / 2**20:.0f}", f"{total_bytes / 2**20:.0f}")
        rows.append((str(device), device.native, *sizes, described.get(device.native, "")))
    print(table(rows))
