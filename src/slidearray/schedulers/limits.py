from __future__ import annotations

import os

from slidearray.worker.limits import *
from slidearray.worker.limits import ControlGroups, limits_here


def local_window(cpus_per_task: int) -> int:
    here = limits_here(ControlGroups(), affinity=os.sched_getaffinity(0), environ=os.environ)
    return max(1, here.cpus // cpus_per_task)
