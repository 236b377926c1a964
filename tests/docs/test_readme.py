"""The README's commands are run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_tour_of_the_readme_works_as_it_is_printed(
    tmp_path: Path, synthetic_slides: Path
) -> None:
    (tour,) = [block for block in blocks("bash") if "slidearray init" in block]
    script = "set -euo pipefail\n" + tour.replace("/data/slides", str(synthetic_slides))
    folder = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (python,) = blocks("python")
    shown = subprocess.run(
        [sys.executable, "-c", python],
        cwd=tmp_path / "my-project",
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("slide-001 ")


def test_the_readmes_make_commands_exist() -> None:
    makefile = README.with_name("Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", "\n".join(blocks("bash")), re.MULTILINE)
    assert set(targets) == {"demo", "test"}
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
