"""The manifest that a run was planned with, and that nobody has touched since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slidearray.errors import RunError
from slidearray.storage.manifest import Manifest, read_manifest
from slidearray.storage.rundir import read_document

if TYPE_CHECKING:
    from slidearray.storage.rundir import RunDir


def frozen_manifest(run: RunDir) -> Manifest:
    """Read a run's manifest.

    Raises
    ------
    RunError
        It was changed after the plan froze it: slides and features would no longer belong together.
    """
    manifest = read_manifest(run.manifest, cells_checked=True)  # by the plan that made the digest
    if manifest.digest != read_document(run).manifest_digest:
        raise RunError(
            f"{run.manifest}: changed after the plan froze it; bring back what was there, or plan "
            "a new run from the manifest that you want"
        )
    return manifest
