"""A cluster over several hosts, started and joined as its users do it: by the lines that it prints."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from typing import Any

from tests.net.hosts import Host, Hosts
from tests.net.running import Running

UP_TIMEOUT_S = 240.0
JOIN_LINE = re.compile(r"cluster join \S+:\d+ --token gc1\.\S+")


@dataclass
class Together:
    """Hosts 1 to `num_nodes`, of which the first is the head. `joins`: what `cluster join` runs as, by host number."""

    hosts: Hosts
    num_nodes: int
    join_line: str
    up: Running
    joins: dict[int, Running]

    @classmethod
    def start(cls, hosts: Hosts, *arguments: str, num_nodes: int = 3, again: bool = False) -> Together:
        """`cluster up ARGUMENTS` on the first host, on the others the line that it printed; waits until it serves.

        `again`: they were nodes before, so a plain `cluster join` is enough.
        """
        head = hosts[1]
        nodes = ("--advertise-address", head.name, "--nodes", str(num_nodes))
        up = head.start("cluster", "up", *arguments, *nodes)
        said = None if again else JOIN_LINE.search(up.wait_for("cluster join", UP_TIMEOUT_S))
        started = cls(hosts, num_nodes, said.group() if said else "cluster join", up, {})
        for number in range(2, num_nodes + 1):
            started.joins[number] = hosts[number].start("sh", "-c", f"exec {started.join_line}")
        assert up.wait(UP_TIMEOUT_S) == 0, started.told()
        return started

    @property
    def nodes(self) -> list[Host]:
        return [self.hosts[number] for number in range(1, self.num_nodes + 1)]

    @property
    def head(self) -> Host:
        return self.hosts[1]

    def told(self) -> str:
        """Everything that its commands have written, for whoever looks into a failure."""
        parts = [f"--- up\n{self.up.out}{self.up.err}"]
        parts += [f"--- join on {self.hosts[number].name}\n{run.out}{run.err}" for number, run in self.joins.items()]
        return "\n".join(parts)

    def ask(self, script: str, *arguments: object, host: Host | None = None) -> Any:
        """What Python's `script` leaves in `answer` on a node (the head, if none is given).

        `client` is connected there; `arguments` and `answer` travel as JSON.
        """
        host = host or self.head
        whole = f"import json, sys\nimport cluster\narguments = json.loads(sys.argv[1])\n{CONNECT}{script}\n"
        done = host.run(sys.executable, "-c", f"{whole}print(json.dumps(answer))", json.dumps(arguments))
        assert done.returncode == 0, f"{done.stderr}\n{self.told()}"
        return json.loads(done.stdout.splitlines()[-1])

    def down(self) -> None:
        done = self.head.run("cluster", "down")
        assert done.returncode == 0, done.stderr
        for running in self.joins.values():
            running.end()


CONNECT = "client = cluster.connect()\n"
