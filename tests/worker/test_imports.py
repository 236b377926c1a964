"""What a worker loads before its first tile: starting thousands of them must stay cheap."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.worker.conftest import Bench

HEAVY = {"pandas", "torch", "pydantic", "typer", "submitit", "yaml", "jinja2", "rich"}
NUMERICAL = {"numpy", "h5py", "cv2", "openslide", "PIL"}
# Loaded by an interpreter's own start-up files when its coverage is measured or it is a venv.
STARTUP = {"coverage", "tracer", "_virtualenv", "_distutils_hack", "sitecustomize", "usercustomize"}
STARTUP_PREFIXES = ("__editable__", "__mp_main__", "_sysconfigdata", "$coverage")


def packages(bench: Bench, name: str) -> set[str]:
    modules = (bench.project / name).read_text().split()
    return {module.split(".")[0] for module in modules}


def test_the_supervisor_loads_the_standard_library_and_itself(bench: Bench) -> None:
    assert bench.work() == 0
    found = packages(bench, "supervisor-modules")
    foreign = {
        name
        for name in found - set(sys.stdlib_module_names) - STARTUP - {"slidearray", "__main__"}
        if not name.startswith(STARTUP_PREFIXES)
    }
    assert foreign == set()


def test_the_child_loads_nothing_that_pixels_do_not_need(bench: Bench) -> None:
    bench.acts("modules")
    assert bench.work() == 0
    found = packages(bench, "modules")
    assert found & HEAVY == set()
    assert found >= NUMERICAL
