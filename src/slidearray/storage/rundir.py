"""The run directory: every file name in it, and run.json."""

from __future__ import annotations

import json
import os
import re
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from slidearray.core.ids import name_fault
from slidearray.errors import RunError
from slidearray.storage.files import write_text

FORMAT_VERSION = 1
#: Keys of run.json and of an output in it, as JSON gives them.
DOCUMENT_TYPES: dict[str, type] = {
    "run_id": str,
    "created": str,
    "version": str,
    "project": str,
    "config": dict,
    "profile": dict,
    "manifest_digest": str,
    "outputs": list,
    "versions": dict,
    "format_version": int,
}
OUTPUT_TYPES: dict[str, type] = {
    "label": str,
    "recipe": dict,
    "recipe_digest": str,
    "feature_dim": int,
}
RECORDS_PER_BUCKET = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptDir:
    """The files of one attempt."""

    root: Path

    @property
    def number(self) -> int:
        """The attempt, counted from 1."""
        return int(self.root.name)

    @property
    def journal(self) -> Path:
        """What was submitted and how its slots ended."""
        return self.root / "journal.jsonl"

    @property
    def slots(self) -> Path:
        """Line k: the resources and slides of slot k."""
        return self.root / "slots.jsonl"

    @property
    def records_root(self) -> Path:
        """The folder of all records."""
        return self.root / "records"

    @property
    def seal(self) -> Path:
        """All records of the attempt and how its slots ended, once it is over."""
        return self.root / "sealed.jsonl.gz"

    @property
    def advance_script(self) -> Path:
        """The script of the job that goes on when the slots have ended."""
        return self.root / "advance.sh"

    @property
    def advance_log(self) -> Path:
        """The log of that job."""
        return self.root / "logs" / "advance.log"

    def script(self, index: int) -> Path:
        """The job script of split `index`."""
        return self.root / f"arrays-{index:02d}.sh"

    def logs_dir(self, split: int) -> Path:
        """The folder of the logs of one split."""
        return self.root / "logs" / f"{split:02d}"

    def log(self, split: int, index: int) -> Path:
        """The log of array task `index` of a split (0 for a plain job)."""
        return self.logs_dir(split) / f"{index}.log"

    def records_dir(self, bucket: int) -> Path:
        """The folder of the records of slots ``1000 * bucket`` and on."""
        return self.records_root / f"{bucket:04d}"

    def record(self, slot: int, token: str) -> Path:
        """What one execution of a slot wrote; `token` names the execution."""
        return self.records_dir(slot // RECORDS_PER_BUCKET) / f"{slot}.{token}.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDir:
    """The files of one run; the only place where their names are written.

    Parameters
    ----------
    root
        The run directory, absolute.
    project
        The folder that relative paths of the manifest and config start from, absolute.
    """

    root: Path
    project: Path

    @property
    def typed(self) -> str:
        """The run directory as one types it in a shell."""
        return shlex.quote(str(self.root))

    @property
    def document(self) -> Path:
        """What the plan froze."""
        return self.root / "run.json"

    @property
    def manifest(self) -> Path:
        """The resolved manifest."""
        return self.root / "manifest.csv"

    @property
    def plan_dir(self) -> Path:
        """The folder of the plan's tables."""
        return self.root / "plan"

    @property
    def slides_table(self) -> Path:
        """Each planned slide's shard and predicted cost."""
        return self.plan_dir / "slides.csv"

    @property
    def rejected(self) -> Path:
        """The slides that the plan refused, with class and reason."""
        return self.plan_dir / "rejected.jsonl"

    @property
    def lock(self) -> Path:
        """Held while a submitter is at work."""
        return self.root / "run.lock"

    @property
    def cache_dir(self) -> Path:
        """Where jobs keep the caches of libraries."""
        return self.root / "cache"

    @property
    def attempts_dir(self) -> Path:
        """The folder of all attempts."""
        return self.root / "attempts"

    @property
    def features_dir(self) -> Path:
        """The folder of all feature files."""
        return self.root / "features"

    @property
    def stores_dir(self) -> Path:
        """The folder of all stores."""
        return self.root / "stores"

    def attempt(self, number: int) -> AttemptDir:
        """The files of attempt `number`, whether it exists or not."""
        return AttemptDir(root=self.attempts_dir / f"{number:04d}")

    def attempts(self) -> list[int]:
        """The attempts that exist, oldest first."""
        if not self.attempts_dir.is_dir():
            return []
        names = (entry.name for entry in self.attempts_dir.iterdir())
        return sorted(int(name) for name in names if re.fullmatch(r"\d{4,}", name, re.ASCII))

    def feature_file(self, label: str, cohort: str, slide_id: str) -> Path:
        """The features of one slide by one encoder; no cohort, no folder for it."""
        return self.features_dir / label / cohort / f"{slide_id}_features.h5"

    def store(self, label: str) -> Path:
        """The store of one encoder."""
        return self.stores_dir / f"{label}.h5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One kind of feature file that a run makes, and the recipe of it."""

    label: str
    recipe: dict[str, Any]
    recipe_digest: str
    feature_dim: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDocument:
    """The content of run.json, frozen by the plan."""

    run_id: str
    created: str
    version: str
    project: str  # relative to the run directory, as `relative_project` writes it
    config: dict[str, Any]
    profile: dict[str, Any]
    manifest_digest: str
    outputs: tuple[Output, ...]
    versions: dict[str, str]
    format_version: int = FORMAT_VERSION


def relative_project(root: Path, project: Path) -> str:
    """The project folder as run.json holds it: from the run directory, links followed."""
    return os.path.relpath(project.resolve(), root.resolve())


def open_run(path: Path, project: Path | None = None) -> RunDir:
    """Open an existing run directory.

    Parameters
    ----------
    path
        The run directory.
    project
        Where its project is now, when the two were moved apart.

    Raises
    ------
    RunError
        No run directory, a damaged one, or a project folder that is not there.
    """
    root = _absolute(path)
    document = _read_document(root / "run.json")
    if project is None:
        found = Path(os.path.normpath(root.resolve() / document.project))
        hint = (
            f"{root}: its project folder {found} is not there; say where it is with --project DIR"
        )
    else:
        found = _absolute(project)
        hint = f"--project {found}: no such folder"
    if not found.is_dir():
        raise RunError(hint)
    return RunDir(root=root, project=found)


def _absolute(path: Path) -> Path:
    return Path(os.path.normpath(path.absolute()))  # links stay: other hosts may mount elsewhere


def read_document(run: RunDir) -> RunDocument:
    """Read run.json; `RunError` when it is missing or damaged."""
    return _read_document(run.document)


def write_document(run: RunDir, document: RunDocument) -> None:
    """Write run.json whole."""
    text = json.dumps(asdict(document), ensure_ascii=False, indent=2)
    write_text(run.document, text + "\n")


def _read_document(path: Path) -> RunDocument:
    try:
        raw = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(
            f"{path.parent} is not a run directory: it has no run.json; "
            "`slidearray plan CONFIG` makes one"
        ) from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read: {error}") from None
    return _parse_document(raw, path)


def _parse_document(raw: object, path: Path) -> RunDocument:
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or version != FORMAT_VERSION:
        raise RunError(
            f"{path}: format_version is {version!r}; this version of slidearray reads "
            f"{FORMAT_VERSION}"
        )
    _check_types(raw, DOCUMENT_TYPES, path)
    if len(raw["outputs"]) != 1 or not isinstance(raw["outputs"][0], dict):
        raise RunError(f"{path}: outputs: {len(raw['outputs'])} found; this version has one a run")
    output = raw["outputs"][0]
    _check_types(output, OUTPUT_TYPES, path)
    if fault := name_fault(output["label"]):
        raise RunError(f"{path}: outputs: label {output['label']!r}: {fault}")
    return RunDocument(
        **{key: raw[key] for key in DOCUMENT_TYPES if key != "outputs"},
        outputs=(Output(**{key: output[key] for key in OUTPUT_TYPES}),),
    )


def _check_types(raw: dict[str, Any], types: dict[str, type], path: Path) -> None:
    for key, kind in types.items():
        if not isinstance(raw.get(key), kind):
            raise RunError(
                f"{path}: {key!r} is {raw.get(key)!r}, expected {kind.__name__}: "
                "the file was damaged or cut"
            )
