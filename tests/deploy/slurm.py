"""Debian's Slurm on hosts of this machine: munge, a controller on the first, a node on each."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

from tests.net.hosts import Host, Hosts
from tests.net.running import Running

CONF = "/tmp/slurm/slurm.conf"
START_TIMEOUT_S = 60
NAMESPACED = """
ClusterName=test
SlurmctldHost={head}({address})
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=/tmp/munge/socket
CryptoType=crypto/munge
StateSaveLocation=/tmp/slurm/state
SlurmdSpoolDir=/tmp/slurm/spool
SlurmctldPidFile=/tmp/slurm/slurmctld.pid
SlurmdPidFile=/tmp/slurm/slurmd.pid
SlurmctldLogFile=/tmp/slurm/slurmctld.log
SlurmdLogFile=/tmp/slurm/slurmd.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/linear
KillWait=20
{nodes}
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@dataclass
class Slurm:
    """Ends with the hosts. Commands run on the first one."""

    hosts: list[Host]

    @classmethod
    def start(cls, hosts: Hosts) -> Slurm:
        chosen = list(hosts)
        key = secrets.token_bytes(128)
        nodes = [f"NodeName={host.name} NodeAddr={host.address} CPUs=1 State=UNKNOWN" for host in chosen]
        conf = NAMESPACED.format(head=chosen[0].name, address=chosen[0].address, nodes="\n".join(nodes))
        for host in chosen:
            for folder in ("munge", "slurm/state", "slurm/spool"):
                (host.disk / folder).mkdir(parents=True, mode=0o755)
            (host.disk / "munge" / "key").write_bytes(key)
            (host.disk / "munge" / "key").chmod(0o400)
            (host.disk / "slurm" / "slurm.conf").write_text(conf)
            (host.disk / "slurm" / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        made = cls(chosen)
        made._run_daemons()
        return made

    def _run_daemons(self) -> None:
        names = ("key-file=key", "socket=socket", "pid-file=pid", "log-file=log", "seed-file=seed")
        munge = [f"--{name.replace('=', '=/tmp/munge/')}" for name in names]
        for host in self.hosts:
            host.start("/usr/sbin/munged", "--foreground", "--force", *munge)
        for host in self.hosts:
            _wait_for(lambda host=host: (host.disk / "munge" / "socket").exists(), f"munge on {host.name}")
        self.hosts[0].start("/usr/sbin/slurmctld", "-D", "-f", CONF)
        for host in self.hosts:
            host.start("/usr/sbin/slurmd", "-D", "-N", host.name, "-f", CONF, SLURM_CONF=CONF)
        _wait_for(lambda: len(self.run("sinfo", "-h", "-N", "-t", "idle").split("\n")) > len(self.hosts), "idle nodes")

    def run(self, *command: str, **more: str) -> str:
        """What a command of Slurm's prints on the first host, whether it succeeds or not."""
        done = self.hosts[0].run(*command, timeout_s=START_TIMEOUT_S, SLURM_CONF=CONF, **more)
        return done.stdout + done.stderr

    def start_command(self, *command: str) -> Running:
        return self.hosts[0].start(*command, SLURM_CONF=CONF)

    def state(self, job: str) -> str:
        """RUNNING, COMPLETED, ...; "" where Slurm has forgotten it."""
        return self.run("squeue", "-h", "-j", job, "-t", "all", "-o", "%T").strip()


def _wait_for(is_so: object, what: str) -> None:
    assert callable(is_so)
    deadline = time.monotonic() + START_TIMEOUT_S
    while not is_so():
        assert time.monotonic() < deadline, f"no {what} within {START_TIMEOUT_S} s"
        time.sleep(0.2)
