"""Runs of a few small slides, worked on by the real supervisor with an encoder that obeys."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import PATIENCE_S

from slidearray.core.recipe import Recipe, TileSpec, TissueSpec
from slidearray.core.shapes import Shape
from slidearray.encoders.contract import load_encoder
from slidearray.slides.synthetic import write_slide
from slidearray.storage.records import read_records
from slidearray.storage.rundir import Output, RunDir, RunDocument, read_document, write_document
from slidearray.storage.slots import Slot, SlotSlide, write_slots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENCODER = Path(__file__).with_name("acting_encoder.py")

DRIVER = """
import sys
from pathlib import Path
from slidearray.storage.rundir import RunDir
from slidearray.schedulers.limits import ControlGroups
from slidearray.worker.supervisor import supervise

root, project, walltime_s, started_at, proc, patience_s = sys.argv[1:]
code = supervise(
    RunDir(root=Path(root), project=Path(project)), 1, 0, walltime_s=float(walltime_s),
    started_at=float(started_at), groups=ControlGroups(Path(proc)), patience_s=float(patience_s),
)
(Path(project) / "supervisor-modules").write_text("\\n".join(sorted(sys.modules)))
sys.exit(code)
"""


@dataclass(kw_only=True)
class Bench:
    """One planned run with one slot, and the processes that work on it."""

    run: RunDir
    slides: list[SlotSlide]
    proc: Path = Path("/proc/self")
    patience_s: float = PATIENCE_S  # with a journal that names another job
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def project(self) -> Path:
        return self.run.project

    def acts(self, *words: str, loading: tuple[str, ...] = ()) -> None:
        """What the encoder does from its next call on, and when it is loaded next."""
        for kind, script in (("acts", words), ("loading", loading)):
            (self.project / kind).write_text(" ".join(script))
            (self.project / f"{kind}.count").unlink(missing_ok=True)

    def batches_of(self, size: int) -> None:
        """Give the encoder `size` tiles at a time."""
        encoder = read_document(self.run).config["encoder"]
        self.configure(encoder={**encoder, "batch_size": size})

    def configure(self, **keys: Any) -> None:
        """Change keys of the config that the run was planned with."""
        document = read_document(self.run)
        write_document(self.run, replace(document, config={**document.config, **keys}))

    def start(
        self, *, walltime_s: float = 3600, left_s: float | None = None, prefix: tuple[str, ...] = ()
    ) -> subprocess.Popen[bytes]:
        """Start the slot, `left_s` seconds before the end of its walltime."""
        write_slots(
            self.run.attempt(1).slots,
            [
                Slot(
                    slot=0,
                    shape=Shape(cpus=1, memory_mb=1000, walltime_s=3600).to_json(),
                    slides=tuple(self.slides),
                )
            ],
        )
        started_at = time.time() - (0 if left_s is None else walltime_s - left_s)
        argv = [self.run.root, self.project, walltime_s, started_at, self.proc, self.patience_s]
        process = subprocess.Popen(
            [*prefix, sys.executable, "-c", DRIVER, *map(str, argv)],
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def work(self, **options: Any) -> int:
        """Exit code of an undisturbed execution."""
        return self.end(self.start(**options))

    def end(self, process: subprocess.Popen[bytes]) -> int:
        """Exit code of an execution, once it is over; its log stays in `log`."""
        out, err = process.communicate(timeout=PATIENCE_S)
        self.log = (out + err).decode()
        print(self.log)
        return process.returncode

    def events(self) -> list[dict[str, Any]]:
        """Events of all executions, oldest first."""
        executions = read_records(self.run.attempt(1)).get(0, [])
        return [event for events in executions for event in events]

    def outcome(self) -> dict[str, str]:
        """By slide, the last thing that its events say: event, with the class of a failure."""
        return {
            event["slide_id"]: " ".join([event["event"], *filter(None, [event.get("failure")])])
            for event in self.events()
            if "slide_id" in event
        }

    def event(self, name: str) -> dict[str, Any]:
        """The only event of this name."""
        (found,) = [event for event in self.events() if event["event"] == name]
        return found

    def features(self) -> dict[str, bytes]:
        """Bytes of all feature files, by name."""
        files = self.run.features_dir.rglob("*")
        return {file.name: file.read_bytes() for file in files if file.is_file()}


class Arrival:
    """The encoder's call that it is holding, and its silence once it ended."""

    def __init__(self, pipe: Path) -> None:
        os.mkfifo(pipe)
        self._fd = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    def wait(self) -> int:
        """Process id of the child, once it holds."""
        return int(self._read())

    def wait_for_its_end(self) -> None:
        """Return when no process holds the pipe any more."""
        assert self._read() == b""

    def _read(self) -> bytes:
        ready, _, _ = select.select([self._fd], [], [], PATIENCE_S)
        assert ready, "nothing came from the encoder"
        return os.read(self._fd, 100)

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture(scope="session")
def small_slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a.svs, b.svs and c.svs: four tiles of 256 px each."""
    folder = tmp_path_factory.mktemp("small")
    for seed, name in enumerate("abc"):
        write_slide(folder / f"{name}.svs", width=512, height=512, seed=seed, tissue=0.5)
    return folder


@pytest.fixture
def make_bench(
    tmp_path: Path, small_slides: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Bench]]:
    """Plan a run of three slides in a project of its own."""
    made: list[Bench] = []
    for name in [name for name in os.environ if name.startswith(("SLURM_", "PBS_"))]:
        monkeypatch.delenv(name)  # of a job that the tests themselves run in

    def make(name: str = "project", *, root: Path | None = None, dim: int = 8) -> Bench:
        project = tmp_path / name
        project.mkdir()
        shutil.copy(ENCODER, project)
        run = RunDir(root=root or project / "run", project=project)
        slides = [
            SlotSlide(slide_id=n, path=str(small_slides / f"{n}.svs"), cohort="", seconds=1.0)
            for n in "abc"
        ]
        plan(run, options={"dim": dim})
        made.append(Bench(run=run, slides=slides))
        return made[-1]

    yield make
    for process in [process for bench in made for process in bench.started]:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    """A run of three slides."""
    return make_bench()


@pytest.fixture
def arrival(bench: Bench) -> Iterator[Arrival]:
    """Tells when the encoder of `bench` holds a call."""
    arrival = Arrival(bench.project / "arrived")
    yield arrival
    arrival.close()


def plan(run: RunDir, *, options: dict[str, Any], encoder: str = "acting_encoder.py:make") -> None:
    """Freeze a run directory of whole slides at level 0."""
    name = f"python:{encoder}"
    loaded = load_encoder(name, options, root=run.project)
    recipe = Recipe(
        tiles=TileSpec(tile_size=256, stride=256, level=0),
        tissue=TissueSpec(method="none", min_coverage=0.0),
        encoder=loaded.spec,
    )
    output = Output(
        label="acting",
        recipe=json.loads(json.dumps(recipe.to_json())),
        recipe_digest=recipe.digest,
        feature_dim=loaded.spec.feature_dim,
    )
    run.attempt(1).root.mkdir(parents=True)
    write_document(
        run,
        RunDocument(
            run_id="test",
            created="2026-01-01T00:00:00.000Z",
            version="0.1.0",
            project=os.path.relpath(run.project, run.root),
            config={"encoder": {"name": name, "options": options, "batch_size": 64}},
            profile={},
            manifest_digest="",
            outputs=(output,),
            versions={},
        ),
    )
