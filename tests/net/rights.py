"""What this machine lacks to be several hosts."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys

TOOLS = {"ip": "iproute2", "nsenter": "util-linux", "unshare": "util-linux"}
# Everything that a host needs, tried at once: in a container root may lack the rights, and the kernel a module.
TRIAL = "ip link add br0 type bridge && ip link add h1 type veth peer name eth0 && mount -t tmpfs none /dev/shm"


@functools.cache
def missing() -> str | None:
    """Why no hosts can be made here, in a line; None if they can."""
    if sys.platform != "linux":
        return f"network namespaces: this is {sys.platform}, they are Linux's"
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            return f"network namespaces: no {tool}; install {package}"
    if os.geteuid() != 0:
        return "network namespaces: only root may make them"
    namespaces = ["--net", "--uts", "--ipc", "--mount", "--pid", "--fork", "--mount-proc"]
    tried = subprocess.run(
        ["unshare", *namespaces, "sh", "-c", TRIAL], capture_output=True, text=True, timeout=30, check=False
    )
    if tried.returncode != 0:
        said = tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"]
        return f"network namespaces: {said[-1]} (CAP_SYS_ADMIN and CAP_NET_ADMIN are needed)"
    return None
