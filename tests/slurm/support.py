"""Projects on a test cluster: the real command line, and what the records say of it."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import yaml
from tests.slurm.coded_slides import write_coded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tests.slurm.clusters import Cluster
    from tests.slurm.person import Person

ENCODER = Path(__file__).parent / "acting_encoder.py"
PATIENCE_S = 240  # for what has no promised bound, on two busy cores
LOOK_EVERY_S = 0.25
COMMAND_PATIENCE_S = 180
MEMORY = "700M"
Event = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What one execution of a slot wrote."""

    attempt: int
    slot: int
    path: Path
    events: tuple[Event, ...]

    @property
    def started(self) -> bool:
        """Whether it did the slot's work: `superseded` ones say so instead."""
        return not self.of("superseded") and bool(self.of("started"))

    def of(self, name: str) -> list[Event]:
        """Its events of one kind."""
        return [event for event in self.events if event["event"] == name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A project folder with one planned run, and what the tests do with it."""

    folder: Path
    cluster: Cluster | None = None  # None: everything runs here
    person: Person | None = None  # None: root
    extra: dict[str, str] = field(default_factory=dict)  # environment of every command

    @property
    def run_dir(self) -> Path:
        return self.folder / "runs/one"

    @property
    def store(self) -> Path:
        return self.run_dir / "stores/acting.h5"

    @property
    def acts(self) -> Path:
        return self.folder / "acts"

    # ------------------------------------------------------------ what is asked for

    def make(
        self,
        slides: Path,
        numbers: Iterable[int],
        *,
        config: Mapping[str, Any] | None = None,
        profile: Mapping[str, Any] | None = None,
    ) -> Self:
        """Write manifest, config and profile for the slides of these numbers, and plan."""
        self.acts.mkdir(parents=True)
        shutil.copy(ENCODER, self.folder)
        rows = []
        for number in numbers:
            (source,) = slides.glob(f"{number:03d}-*.svs")
            (self.folder / source.name).hardlink_to(source)
            rows.append({"slide_id": slide_id(number), "path": source.name})
        self._write(rows, config=config or {}, profile=profile or {})
        if self.person:
            subprocess.run(["chown", "-R", self.person.name, self.folder], check=True)
        self("plan", "slidearray.yaml", *self.planned_with)
        return self

    @property
    def planned_with(self) -> list[str]:
        """Options of `plan`."""
        return ["--profile", "here.yaml"] if self.cluster else []

    @property
    def usual_profile(self) -> dict[str, Any]:
        """What the profile says where a test says nothing else."""
        return {
            "scheduler": "slurm",
            "advance_job": {"walltime": "00:10:00", "cpus_per_task": 1, "memory": MEMORY},
        }

    def _write(
        self, rows: Sequence[Mapping[str, str]], *, config: Mapping[str, Any], profile: Any
    ) -> None:
        with (self.folder / "manifest.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["slide_id", "path"])
            writer.writeheader()
            writer.writerows(rows)
        full = {
            "version": 1,
            "manifest": "manifest.csv",
            "run_dir": "runs/one",
            "tiles": {"tile_size": 256, "level": 0},
            "tissue": {"method": "none"},
            "encoder": {"name": f"python:{ENCODER.name}:make"},
            "shards": {"slides_per_task": 1},
            **config,
        }
        (self.folder / "slidearray.yaml").write_text(yaml.safe_dump(full))
        asked = {
            "version": 1,
            "walltime": "00:10:00",
            "cpus_per_task": 1,
            "memory": MEMORY,
            **self.usual_profile,
            **profile,
        }
        (self.folder / "here.yaml").write_text(yaml.safe_dump(asked))

    def act(self, number: int, word: str) -> None:
        """What the encoder is to do with the slide of this number."""
        (self.acts / str(number)).write_text(word)

    def go(self, *numbers: int) -> None:
        """Let slides that are held by `block` go on, now and later."""
        for number in numbers:
            (self.acts / f"{number}.go").touch()

    def held(self, number: int) -> list[str]:
        """`NODE-PID` of each process that is, or was, held by this slide."""
        found = self.acts.glob(f"{number}.*-*")
        return sorted(path.suffix.removeprefix(".") for path in found)

    # ------------------------------------------------------------ the command line

    @property
    def env(self) -> dict[str, str]:
        """The environment of a command."""
        env = dict(self.cluster.env if self.cluster else os.environ)
        if self.person:
            env |= {"HOME": str(self.person.folder), "USER": self.person.name}
        return {**env, **self.extra}

    def argv(self, *args: str | Path) -> list[str]:
        """`slidearray ARGS` as this site's user types it."""
        python = self.person.python if self.person else sys.executable
        return [str(python), "-m", "slidearray", *map(str, args)]

    def __call__(
        self, *args: str | Path, expect: int | None = 0, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `slidearray ARGS` in the project and wait for it."""
        done = subprocess.run(
            self.argv(*args),
            cwd=self.folder,
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_PATIENCE_S,
            check=False,
            **(self.person.identity if self.person else {}),
        )
        shown = f"{args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, shown
        assert expect is None or done.returncode == expect, shown
        return done

    def start(self, *args: str | Path, env: Mapping[str, str] | None = None) -> Any:
        """Start `slidearray ARGS` in the project, in a session of its own."""
        return subprocess.Popen(
            self.argv(*args),
            cwd=self.folder,
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            **(self.person.identity if self.person else {}),
        )

    def status(self) -> Any:
        """What `status --json` says."""
        return json.loads(self("status", self.run_dir, "--json", expect=None).stdout)

    def troubles(self) -> dict[str, str]:
        """Failure class of every slide without features."""
        return {each["slide_id"]: each["class"] for each in self.status()["troubles"]}

    def troubles_after(self, attempt: int) -> dict[str, str]:
        """Failure classes as they were when an attempt was over, before any later one."""
        copy = self.folder / f"runs/after-{attempt}"
        shutil.copytree(self.run_dir, copy)
        for later in self.attempts():
            if later > attempt:
                shutil.rmtree(copy / f"attempts/{later:04d}")
        said = self("status", copy, "--project", self.folder, "--json", expect=None).stdout
        return {each["slide_id"]: each["class"] for each in json.loads(said)["troubles"]}

    # ------------------------------------------------------------ what the files say

    def attempts(self) -> list[int]:
        """Numbers of the attempts that exist."""
        return sorted(int(path.name) for path in self.run_dir.glob("attempts/[0-9]*"))

    def journal(self, attempt: int = 1) -> list[Event]:
        """The complete lines of an attempt's journal."""
        path = self.run_dir / f"attempts/{attempt:04d}/journal.jsonl"
        return _events(path) if path.exists() else []

    def journaled(self, name: str, attempt: int = 1) -> list[Event]:
        """An attempt's journal lines of one kind."""
        return [event for event in self.journal(attempt) if event["event"] == name]

    def executions(self, attempt: int | None = None) -> list[Execution]:
        """Every execution that wrote a record, of one attempt or of all."""
        pattern = f"attempts/{f'{attempt:04d}' if attempt else '*'}/records/*/*.jsonl"
        return [
            Execution(
                attempt=int(path.parts[-4]),
                slot=int(path.name.split(".")[0]),
                path=path,
                events=tuple(_events(path)),
            )
            for path in sorted(self.run_dir.glob(pattern))
        ]

    def starts(self, attempt: int | None = None) -> Counter[int]:
        """How often each slot was started."""
        return Counter(each.slot for each in self.executions(attempt) if each.started)

    def slides_in_work(self) -> set[str]:
        """Slides that some execution has begun."""
        begun = (event for each in self.executions() for event in each.of("slide_started"))
        return {event["slide_id"] for event in begun}

    def tries(self) -> Counter[str]:
        """How often work on each slide was begun, over all attempts."""
        begun = (event for each in self.executions() for event in each.of("slide_started"))
        return Counter(event["slide_id"] for event in begun)

    def slot_of(self, number: int, attempt: int = 1) -> int:
        """The slot that holds a slide in an attempt."""
        lines = (self.run_dir / f"attempts/{attempt:04d}/slots.jsonl").read_text().splitlines()
        (slot,) = (k for k, line in enumerate(lines) if f'"{slide_id(number)}"' in line)
        return slot

    def task_of(self, number: int, attempt: int = 1) -> str:
        """`ARRAY_TASK`, or the plain job's id, of the slot that holds a slide."""
        slot = self.slot_of(number, attempt)
        (intent,) = self.journaled("intent", attempt)
        for split, (offset, count, is_array) in enumerate(intent["splits"]):
            if offset <= slot < offset + count:
                job = self.job_ids(attempt)[split]
                return self.task_id(job, slot - offset) if is_array else job
        raise AssertionError(f"slot {slot} is in no split: {intent}")

    def task_id(self, array: str, number: int) -> str:
        """What the scheduler calls a task of an array."""
        return f"{array}_{number}"

    def job_ids(self, attempt: int = 1) -> list[str]:
        """Ids of an attempt's arrays and plain jobs, split by split."""
        lines = self.journaled("submitted", attempt)
        return [str(line["job_id"]) for line in sorted(lines, key=lambda line: line["split"])]

    def advance_id(self, attempt: int = 1) -> str:
        """Id of the job that goes on behind an attempt."""
        return str(self.journaled("advance", attempt)[0]["job_id"])

    def job_names(self) -> set[str]:
        """Names of every job of every attempt, the chained ones too."""
        intents = [line for number in self.attempts() for line in self.journaled("intent", number)]
        return {name for each in intents for name in [*each["names"], each["advance"]]}

    # ------------------------------------------------------------ waiting

    def wait(self, condition: Callable[[], Any], what: str) -> None:
        """Until `condition` holds; never for a time. Fails with what is known of the run."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"waited {PATIENCE_S} s for {what}\n{self.story()}"
            time.sleep(LOOK_EVERY_S)  # between two looks: other processes have no way to wake us

    def queued(self) -> list[list[str]]:
        """Rows of the queue that are of this run: id, name, state, reason, node."""
        assert self.cluster
        names = self.job_names()
        return self.cluster.squeue("--name=" + ",".join(sorted(names))) if names else []

    def is_over(self) -> bool:
        """Whether nothing of this run is in the queue, nor can come by itself."""
        before = self.job_names()
        # What a chained job submits is in a journal before that job leaves the queue.
        return bool(before) and not self.queued() and self.job_names() == before

    def wait_until_held(self, *numbers: int) -> None:
        """Until each of these slides is held by its act."""
        self.wait(lambda: all(self.held(each) for each in numbers), f"slides {numbers} to be held")

    def wait_until_over(self) -> None:
        """Until the chained jobs have done all that they will."""
        self.wait(self.is_over, "the run to leave the queue")

    def story(self) -> str:
        """All that helps to understand a run that went wrong."""
        lines = [str(self.run_dir)]
        if self.cluster:
            lines += ["queue:", *(" ".join(row) for row in self.queued())]
        for number in self.attempts():
            lines += [f"journal {number}:", *map(json.dumps, self.journal(number))]
        for each in self.executions():
            lines += [f"{each.path.relative_to(self.run_dir)}:", *map(json.dumps, each.events)]
        for log in sorted(self.run_dir.glob("attempts/*/logs/**/*.log")):
            text = log.read_text(errors="replace").strip()
            lines += [f"{log.relative_to(self.run_dir)}:", text[-1500:]]
        return "\n".join(lines)


def slide_id(number: int) -> str:
    return f"s{number:03d}"


def make_slides(folder: Path, count: int, corrupt: Iterable[int]) -> None:
    """Write coded slides 0 to `count` - 1, named by number."""
    bad = set(corrupt)
    for number in range(count):
        word = "corrupt" if number in bad else "sound"
        write_coded(folder / f"{number:03d}-{word}.svs", number, corrupt=number in bad)


def _events(path: Path) -> list[Event]:
    """The complete lines of a file of events."""
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
