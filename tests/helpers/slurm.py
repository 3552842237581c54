"""A real Slurm of three nodes on this machine, on loopback: its daemons are this process's children."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "scontrol", "scancel", "squeue", "munged")
NODES = ("n1", "n2", "n3")
CONFIG = """\
ClusterName=tiny
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={node_port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/munge.socket.2,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
MailProg=/bin/true
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=5,bf_interval=5,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdTimeout=10
KillWait=20
MinJobAge=600
JobRequeue=1
NodeName=n[1-3] NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs=2 Sockets=1 CoresPerSocket=2 \
ThreadsPerCore=1 RealMemory=4000 State=UNKNOWN
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
PartitionName=main Nodes=n[1-3] Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=20
PartitionName=high Nodes=n[1-3] MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=off
"""


def lacking() -> str:
    """Why there can be no cluster here; empty if there can."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=search_path()) is None]
    if missing:
        return f"Slurm is not installed: {', '.join(missing)}"
    return "" if os.geteuid() == 0 else "Slurm's daemons need root"


def search_path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin"])


class Cluster:
    """The daemons, and the commands that talk to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {**os.environ, "SLURM_CONF": f"{folder}/etc/slurm.conf", "PATH": search_path()}

    def start(self) -> None:
        for name in ("etc", "run", "log", "state", "spool", "munge"):
            (self.folder / name).mkdir()
        self.folder.chmod(0o755)
        (self.folder / "munge").chmod(0o711)
        munge = self.folder / "munge"
        (munge / "munge.key").write_bytes(os.urandom(1024))
        (munge / "munge.key").chmod(0o400)
        port = free_ports()
        text = CONFIG.format(
            host=socket.gethostname(),
            folder=self.folder,
            port=port,
            node_port=port + 1,
            first=port + 2,
            last=port + 4,
        )
        (self.folder / "etc" / "slurm.conf").write_text(text)
        for node in NODES:
            (self.folder / "spool" / node).mkdir()
        files = ("key-file=munge.key", "socket=munge.socket.2", "pid-file=munged.pid", "log-file=munged.log")
        words = [f"--{key}={munge}/{value}" for key, value in (each.split("=") for each in files)]
        self._daemon("munged", "munged", "--foreground", *words, f"--seed-file={munge}/seed", "--num-threads=2")
        wait_for(lambda: (munge / "munge.socket.2").exists(), "munged")
        self.start_controller("-c")
        for node in NODES:
            self._daemon(node, "slurmd", "-D", "-N", node, "-c")
        wait_for(lambda: self.ask("sinfo", "-h", "-o", "%D %t").split() == ["3", "idle"], "three idle nodes")

    def start_controller(self, *words: str) -> None:
        self._daemon("slurmctld", "slurmctld", "-D", *words)

    def restart_controller(self) -> None:
        """Kill the controller as a crash would, and start it again."""
        before = self.daemons.pop("slurmctld")
        before.kill()
        before.wait()
        self.start_controller()

    def _daemon(self, name: str, *words: str) -> None:
        with (self.folder / "log" / f"{name}.out").open("ab") as log:
            self.daemons[name] = subprocess.Popen(words, env=self.environment, stdout=log, stderr=log)

    def ask(self, *words: str) -> str:
        result = subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False)
        return result.stdout.strip()

    def submit(self, script: str, *words: str) -> str:
        """Submit a script; return the job's number."""
        command = ["sbatch", "--parsable", *words]
        result = subprocess.run(
            command, input=script, env=self.environment, capture_output=True, text=True, check=True
        )
        return result.stdout.strip()

    def is_over(self, job: str) -> bool:
        return not self.ask("squeue", "-h", "-j", job, "-o", "%T")

    def lose_node(self, node: str) -> None:
        """Kill a node's daemon and everything that it started."""
        daemon = self.daemons.pop(node)
        steps = [
            process
            for process in psutil.process_iter(["name", "cmdline"])
            if process.info["name"] == "slurmstepd" and self._runs_on(process, node)
        ]
        kill_all([psutil.Process(daemon.pid), *steps])
        daemon.wait()

    def _runs_on(self, process: psutil.Process, node: str) -> bool:
        with contextlib.suppress(psutil.Error):
            return any(child.environ().get("SLURMD_NODENAME") == node for child in process.children())
        return False

    def stop(self) -> None:
        for daemon in reversed(self.daemons.values()):
            with contextlib.suppress(psutil.Error):
                kill_all([psutil.Process(daemon.pid)])
            daemon.wait()
        mine = [p for p in psutil.process_iter(["name"]) if p.info["name"] == "slurmstepd"]
        kill_all(mine)


def kill_all(processes: list[psutil.Process]) -> None:
    """Kill processes and their descendants, which are listed before any of them is dead."""
    found = list(processes)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            found += process.children(recursive=True)
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.kill()


def wait_for(condition: object, what: str, seconds: float = 60) -> None:
    """Wait until `condition()` is true; fail with a name for it."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"no {what} within {seconds:g} s"
        time.sleep(0.2)


def free_ports() -> int:
    """The first of five neighbouring free ports."""
    for first in range(26817, 28000, 10):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + 5):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise AssertionError("no free ports")


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster in a folder of its own: munged requires one that others may enter, unlike pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="gan_bench-slurm-"))
    made = Cluster(folder)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)
