"""Real SLURM clusters on this machine: started, asked, broken, and stopped whatever happens."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tests.support import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SCRIPTS = Path(__file__).parent / "cluster"
#: Not the temporary folder of pytest: sockets need short paths that every user can reach.
FOLDERS = Path("/tmp")
NAME = "slidearray-slurm-"
#: Below the ports that the kernel hands out to whoever asks for any.
PORTS = range(17700, 32000, 40)
START_PATIENCE_S = 120
STOP_PATIENCE_S = 180
COMMAND_PATIENCE_S = 60
NO_CLUSTER_OF_OTHERS = ("SLURM_", "SBATCH_", "SQUEUE_", "SACCT_", "SALLOC_", "SRUN_")


class SlurmMissingError(Exception):
    """There is no SLURM that could be started here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A running cluster."""

    dir: Path
    env: Mapping[str, str] = field(repr=False)  # of a user of it; failed tests print values
    nodes: tuple[str, ...]
    cgroups: bool  # whether memory limits are the kernel's
    accounting: bool
    guard: subprocess.Popen[bytes] = field(repr=False)

    def run(self, *argv: str, env: Mapping[str, str] | None = None) -> str:
        """What a command of the scheduler prints; it must succeed."""
        done = subprocess.run(
            argv,
            env=self.env if env is None else env,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=COMMAND_PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{argv}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def sbatch(self, *args: str | Path, env: Mapping[str, str] | None = None) -> str:
        """Submit a job; its id."""
        return self.run("sbatch", "--parsable", *map(str, args), env=env).strip()

    def squeue(self, *args: str, output: str = "%i|%j|%T|%r|%N") -> list[list[str]]:
        """Rows of the queue, array tasks one by one."""
        text = self.run("squeue", "-r", "-h", "-o", output, *args)
        return [line.split("|") for line in text.splitlines()]

    def sacct(self, *args: str, output: str = "JobID,JobName,State,ExitCode") -> list[list[str]]:
        """Rows of the accounts, those of requeued executions too, steps left out."""
        text = self.run("sacct", "-n", "-P", "-D", "-X", f"--format={output}", *args)
        return [line.split("|") for line in text.splitlines()]

    def state(self, job: str) -> str:
        """The state of one job or array task; empty when it is forgotten."""
        rows = [row for row in self.squeue("--states=all", output="%i|%T") if row[0] == job]
        return rows[0][1] if rows else ""

    def wait_for_end(self, job: str) -> None:
        """Until nothing of a job is in the queue any more."""
        wait_for(lambda: not self.squeue("-j", job, "--states=PD,R,CG,CF,S"), f"end of job {job}")

    def processes_of(self, folder: Path, *, on_nodes: bool = True) -> list[str]:
        """Command lines of processes that work in or on `folder`: on nodes, or elsewhere."""
        inside = (self.dir / "etc/hosts").stat()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it ended meanwhile
                seen = (process / "root/etc/hosts").stat()
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                is_ours = str(folder) in f"{words} {(process / 'cwd').readlink()}"
                if is_ours and os.path.samestat(seen, inside) == on_nodes:
                    found.append(words)
        return found

    def end_now(self, job: str) -> None:
        """Let a running job come to its time limit; SLURM looks every 30 s."""
        self.run("scontrol", "update", f"JobId={job}", "EndTime=now+1second")

    def node(self, action: Literal["crash", "hang", "unhang", "boot"], name: str) -> None:
        """Do to a node what a power cut or a network cut would."""
        self.run(str(SCRIPTS / "slurm-node"), action, name, str(self.dir))

    def set_node(self, name: str, state: Literal["down", "resume", "drain"]) -> None:
        """What an administrator does."""
        self.run("scontrol", "update", f"nodename={name}", f"state={state}", "reason=test")

    def mend(self) -> None:
        """Start again what is not running, and take back nodes that are down."""
        subprocess.run(
            [SCRIPTS / "start-slurm", self.dir],
            env={**self.env, "SLURM_TEST_NOCHECK": "1"},
            stdout=subprocess.DEVNULL,
            timeout=START_PATIENCE_S,
            check=True,
        )

    def stop_controller(self) -> None:
        """Stop slurmctld as for maintenance: what it knows is saved."""
        pid = int((self.dir / "run/slurmctld.pid").read_text())
        os.kill(pid, 15)
        wait_for(lambda: not Path(f"/proc/{pid}").exists(), "slurmctld to stop")

    def let_go(self) -> None:
        """Have it stopped and removed; does not wait."""
        if self.guard.stdin:
            self.guard.stdin.close()


def check_slurm() -> None:
    """Return when clusters can be started here.

    Raises
    ------
    SlurmMissingError
        With what is missing and how to get it.
    """
    check = [str(SCRIPTS / "start-slurm"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SlurmMissingError(done.stderr.strip() or f"{check}: exit {done.returncode}")


@contextmanager
def clusters_of_this_process() -> Iterator[Clusters]:
    """Start clusters during the block; all of them are gone after it."""
    with ExitStack() as stack:
        yield Clusters(stack)


class Clusters:
    """Starts clusters, each with its own folder, ports and names of nodes."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._guards: list[subprocess.Popen[bytes]] = []
        stack.callback(self._wait_for_guards)

    def start(self, **settings: str | int) -> Cluster:
        """Start a cluster.

        Parameters
        ----------
        settings
            Those of ``start-slurm``, without ``SLURM_TEST_``: ``MAXARRAY=5``, ``ACCT="no"``.
        """
        folder, port = _new_folder()
        guard = subprocess.Popen(
            [SCRIPTS / "guard-slurm", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert guard.stdin
        self._guards.append(guard)
        self._stack.callback(guard.stdin.close)
        env = _environment(folder)
        # Names of control groups hold the nodes' names, so these differ between clusters.
        given = {"PORT": port, "PREFIX": f"t{port}n", **settings}
        options = {f"SLURM_TEST_{name}": str(value) for name, value in given.items()}
        done = subprocess.run(
            [SCRIPTS / "start-slurm", folder],
            env={**env, **options},
            capture_output=True,
            text=True,
            timeout=START_PATIENCE_S,
            check=False,
        )
        if done.returncode:
            raise SlurmMissingError(f"start-slurm failed:\n{done.stdout}{done.stderr}")
        return Cluster(
            dir=folder,
            env=env,
            nodes=tuple((folder / "etc/configured").read_text().split()),
            cgroups="task/cgroup" in (folder / "etc/slurm.conf").read_text(),
            accounting=(folder / "etc/acct").read_text().strip() != "no",
            guard=guard,
        )

    def _wait_for_guards(self) -> None:
        for guard in self._guards:
            guard.wait(STOP_PATIENCE_S)


def _environment(folder: Path) -> dict[str, str]:
    """This process's, as a user of that cluster has it."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(NO_CLUSTER_OF_OTHERS)}
    path = env.get("PATH", "/usr/bin:/bin")
    return {**env, "SLURM_CONF": str(folder / "etc/slurm.conf"), "PATH": f"{path}:/usr/sbin:/sbin"}


def _new_folder() -> tuple[Path, int]:
    """A folder for a cluster, with its port; first clears away what killed tests left."""
    with (FOLDERS / f"{NAME}lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for folder in FOLDERS.glob(f"{NAME}[0-9]*"):
            if not _owner_lives(folder):
                _clear(folder)
        port = next(port for port in PORTS if _is_free(port))
        # A name of its own: whatever still clears an earlier cluster away must not meet this one.
        folder = FOLDERS / f"{NAME}{port}-{os.getpid()}-{time.monotonic_ns()}"
        folder.mkdir(mode=0o755)
        mine = f"{os.getpid()} {_start_time(os.getpid())} {_namespace()}"
        (folder / "owner").write_text(mine)
    return folder, port


def _is_free(port: int) -> bool:
    return not any(FOLDERS.glob(f"{NAME}{port}-*")) and all(
        _can_listen(port + offset) for offset in (0, 1, 11, 12, 13)
    )


def _can_listen(port: int) -> bool:
    with closing(socket.socket()) as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _owner_lives(folder: Path) -> bool:
    try:
        pid, started, namespace = (folder / "owner").read_text().split()
        # Of a container that shares this folder nothing can be told.
        return namespace != _namespace() or _start_time(int(pid)) == started
    except (OSError, ValueError):
        return False


def _namespace() -> str:
    """Tells apart what process ids are counted in."""
    return str(Path("/proc/self/ns/pid").stat().st_ino)


def _start_time(pid: int) -> str:
    """Tells a process from a later one with the same id."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def _clear(folder: Path) -> None:
    stop = [str(SCRIPTS / "stop-slurm"), "--wipe", str(folder)]
    subprocess.run(stop, stdout=subprocess.DEVNULL, timeout=STOP_PATIENCE_S, check=False)
    shutil.rmtree(folder, ignore_errors=True)
