"""Every packet that crosses the switch, in a pcap file, by a process of its own inside the switch.

Runs alone, too: ``python -I sniffer.py FILE KEPT_BYTES PORT [PORT ...]`` captures until its stdin ends, then writes how
many packets it took and how many the kernel dropped. Packets are taken as they come in from a host, so each is there
once.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:  # run alone, this file is all there is
    from tests.net.hosts import Hosts

ETH_P_ALL = 3
SOL_PACKET, PACKET_STATISTICS = 263, 6
SO_RCVBUFFORCE = 33
BUFFER_BYTES = 64 * 2**20
HEADERS_BYTES = 128
MAX_FRAME_BYTES = 2**18  # the kernel hands segments over before they are cut: up to 64 KiB and more
PCAP_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, MAX_FRAME_BYTES, 1)
IPV4, IPV6, TCP = 0x0800, 0x86DD, 6

Flow = tuple[str, int, str, int]  # from address and port, to address and port


@dataclass(frozen=True)
class Segment:
    """`payload`: as far as it was kept, of `num_bytes`."""

    flow: Flow
    sequence: int
    payload: bytes
    num_bytes: int


class Sniffer:
    """``with Sniffer(hosts, file) as sniffer: ...``; afterwards ask what was heard."""

    def __init__(self, hosts: Hosts, file: Path, kept_bytes: int = MAX_FRAME_BYTES) -> None:
        """`kept_bytes`: of each frame. `HEADERS_BYTES` are enough for `volumes`."""
        self.file = file
        # Only the network is entered: the file is where it is for us.
        enter = ["nsenter", f"--target={hosts.switch.pid}", "--net", "--"]
        script = [sys.executable, "-I", __file__, str(file), str(kept_bytes), *hosts.ports]
        self._process = subprocess.Popen(
            [*enter, *script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        self.num_packets = self.num_dropped = 0

    def __enter__(self) -> Sniffer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """What was captured is complete. May be repeated."""
        if self._process.returncode is not None:
            return
        out, _ = self._process.communicate(timeout=60)
        counts = json.loads(out)
        self.num_packets, self.num_dropped = counts["packets"], counts["dropped"]

    def find(self, needles: Iterable[bytes]) -> dict[bytes, list[Flow | None]]:
        """Where each of `needles` was to be read: connections, or None for a packet that is none of TCP's."""
        return find(self.file, needles)

    def streams(self) -> dict[Flow, bytes]:
        """What each connection said in each direction."""
        return streams(self.file)

    def volumes(self) -> dict[Flow, int]:
        """Bytes that each connection carried in each direction, what was sent again included."""
        carried: dict[Flow, int] = defaultdict(int)
        for segment in filter(None, map(segment_of, frames(self.file))):
            carried[segment.flow] += segment.num_bytes
        return dict(carried)


def frames(file: Path) -> Iterator[tuple[bytes, int]]:
    """Each frame of a pcap file as `capture` writes them, as far as it was kept, and how many bytes it had."""
    with file.open("rb") as source:
        assert source.read(len(PCAP_HEADER)) == PCAP_HEADER
        while header := source.read(16):
            _, _, num_kept, num_bytes = struct.unpack("<IIII", header)
            yield source.read(num_kept), num_bytes


def segment_of(captured: tuple[bytes, int]) -> Segment | None:
    """The part of a TCP connection that an Ethernet frame carries."""
    frame, num_bytes = captured
    kind = struct.unpack_from(">H", frame, 12)[0]
    packet = frame[14:]
    if kind == IPV4 and packet[9] == TCP:
        start, end = (packet[0] & 15) * 4, struct.unpack_from(">H", packet, 2)[0]
        addresses = [socket.inet_ntop(socket.AF_INET, packet[at : at + 4]) for at in (12, 16)]
    elif kind == IPV6 and packet[6] == TCP:
        start, end = 40, 40 + struct.unpack_from(">H", packet, 4)[0]
        addresses = [socket.inet_ntop(socket.AF_INET6, packet[at : at + 16]) for at in (8, 24)]
    else:
        return None
    here, there, sequence = struct.unpack_from(">HHI", packet, start)
    begin = start + (packet[start + 12] >> 4) * 4
    # A segment that the kernel has not cut yet may be longer than the field can say.
    end = end if end > start else num_bytes - 14
    return Segment((addresses[0], here, addresses[1], there), sequence, packet[begin:end], end - begin)


def streams(file: Path) -> dict[Flow, bytes]:
    """What each connection said in each direction, in order, repetitions left out."""
    parts: dict[Flow, dict[int, bytes]] = defaultdict(dict)
    for frame in frames(file):
        segment = segment_of(frame)
        if segment is not None and segment.payload:
            known = parts[segment.flow]
            if len(segment.payload) > len(known.get(segment.sequence, b"")):
                known[segment.sequence] = segment.payload
    return {flow: _joined(known) for flow, known in parts.items()}


def _joined(parts: dict[int, bytes]) -> bytes:
    """Payloads by sequence number, which counts modulo 2**32 from a random start."""
    first = next(iter(parts))
    in_order = sorted(((sequence - first + 2**31) % 2**32, payload) for sequence, payload in parts.items())
    joined, end = bytearray(), in_order[0][0]
    for start, payload in in_order:
        if start + len(payload) > end:
            joined += payload[max(0, end - start) :]
            end = start + len(payload)
    return bytes(joined)


def find(file: Path, needles: Iterable[bytes]) -> dict[bytes, list[Flow | None]]:
    """See `Sniffer.find`. Connections are searched as a whole: a needle may lie across packets."""
    found: dict[bytes, list[Flow | None]] = {needle: [] for needle in needles}
    for flow, said in streams(file).items():
        for needle, places in found.items():
            if needle in said:
                places.append(flow)
    for frame in frames(file):
        if segment_of(frame) is None:
            for needle, places in found.items():
                if needle in frame[0]:
                    places.append(None)
    return found


def capture(file: BinaryIO, kept_bytes: int, ports: list[str]) -> dict[str, int]:
    """Write every frame that comes in at `ports` until stdin ends."""
    sockets = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) for _ in ports]
    for each, port in zip(sockets, ports, strict=True):
        with contextlib.suppress(OSError):
            each.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        each.bind((port, ETH_P_ALL))
        each.setblocking(False)
    file.write(PCAP_HEADER)
    print("ready", flush=True)
    num_packets = 0
    while True:
        ready = set(select.select([*sockets, sys.stdin], [], [])[0])
        num_packets += sum(_drain(each, file, kept_bytes) for each in sockets if each in ready)
        if ready == {sys.stdin}:
            break
    dropped = [struct.unpack("II", each.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1] for each in sockets]
    return {"packets": num_packets, "dropped": sum(dropped)}


def _drain(source: socket.socket, file: BinaryIO, kept_bytes: int) -> int:
    taken = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            frame, address = source.recvfrom(MAX_FRAME_BYTES)
            if address[2] != socket.PACKET_OUTGOING:  # that one was taken where it came in
                seconds, fraction = divmod(time.time_ns(), 10**9)
                kept = frame[:kept_bytes]
                file.write(struct.pack("<IIII", seconds, fraction // 1000, len(kept), len(frame)) + kept)
                taken += 1
    return taken


if __name__ == "__main__":
    with open(sys.argv[1], "wb") as target:
        print(json.dumps(capture(target, int(sys.argv[2]), sys.argv[3:])))
