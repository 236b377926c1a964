"""Projects made for one test, and the real command line in a process of its own."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Project:
    """A project folder, and what the tests do with it."""

    folder: Path

    def run(self, *args: str | Path, expect: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run `slidearray ARGS` in the project and wait for it."""
        done = subprocess.run(
            self.argv(*args), cwd=self.folder, capture_output=True, text=True, check=False
        )
        shown = f"{args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, shown
        assert expect is None or done.returncode == expect, shown
        return done

    def start(self, *args: str | Path) -> subprocess.Popen[bytes]:
        """Start `slidearray ARGS` in the project, in a process group of its own."""
        return subprocess.Popen(
            self.argv(*args),
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @staticmethod
    def argv(*args: str | Path) -> list[str]:
        return [sys.executable, "-m", "slidearray", *map(str, args)]

    def json(self, *args: str | Path, expect: int | None = 0) -> Any:
        return json.loads(self.run(*args, "--json", expect=expect).stdout)

    def manifest(self, rows: Iterable[Mapping[str, str]]) -> None:
        rows = list(rows)
        path = self.folder / "metadata" / "slide_manifest.csv"
        path.parent.mkdir(exist_ok=True)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)

    def config(self, **sections: Any) -> None:
        config = {
            "version": 1,
            "manifest": "metadata/slide_manifest.csv",
            "run_dir": "runs/one",
            "tiles": {"tile_size": 256, "stride": 256, "level": 0},
            "tissue": {"method": "otsu", "min_coverage": 0.5},
            "encoder": {"name": "color-texture"},
            **sections,
        }
        (self.folder / "slidearray.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")

    def events(self, run: str = "runs/one") -> list[dict[str, Any]]:
        """Every complete line of every record, oldest attempt first."""
        files = sorted((self.folder / run / "attempts").glob("*/records/*/*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_bytes().split(b"\n")[:-1]]

    def store(self, run: str = "runs/one", label: str = "color-texture") -> Path:
        return self.folder / run / "stores" / f"{label}.h5"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


ENCODER = """
import numpy as np

class Mean:
    name = "mean"
    dim = 3
    def encode(self, tiles):
        {body}
        return tiles.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)

def make():
    return Mean()
"""


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def use_encoder(project: Project, body: str, **config: object) -> None:
    (project.folder / "encoder.py").write_text(ENCODER.format(body=body))
    project.config(encoder={"name": "python:encoder.py:make"}, **config)


def json_path(project: Project, slide_id: str) -> str:
    text = (project.folder / "metadata/slide_manifest.csv").read_text()
    return next(line.split(",")[1] for line in text.splitlines() if line.startswith(slide_id))
