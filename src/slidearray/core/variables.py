"""Names of environment variables that a profile may hand to its jobs."""

from __future__ import annotations

import re

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: Words by which sbatch's --export means more than one variable (sbatch.1).
EVERYTHING = frozenset({"ALL", "NIL", "NONE"})
#: A scheduler keeps a job's environment, shows it, and hands it to every process of the job.
SECRET = re.compile(
    r"SECRET|PASSW(OR)?D|PASSPHRASE|CREDENTIAL|PRIVATE|API_?KEY|TOKEN(?!IZ)"
    r"|(^|_)(AUTH|KEYS?|PASS|PW)(_|$)",
    re.IGNORECASE,
)
#: Taken out of what jobs get, or set by the scheduler itself.
SCHEDULERS = ("SLURM_", "SBATCH_", "SQUEUE_", "SACCT_", "PBS_")
#: What the job script sets.
OURS = frozenset({"LC_ALL", "HF_HOME", "MPLCONFIGDIR", "TORCH_HOME", "XDG_CACHE_HOME"})


def checked_variable(name: str) -> str:
    """`name`, which a job may be given.

    Raises
    ------
    ValueError
        With the reason why not.
    """
    if name in EVERYTHING or "*" in name:
        raise ValueError("each variable is named by itself; never all of them")
    if not NAME.fullmatch(name):
        raise ValueError("a variable's name has letters, digits and _ only")
    if SECRET.search(name):
        raise ValueError(
            "it looks like a secret, and schedulers store and show the environment of a job; "
            "let a setup line read it from a file that only you can read"
        )
    if name.startswith(SCHEDULERS):
        raise ValueError("the scheduler sets it in each job, and that of another job misleads")
    if name in OURS:
        raise ValueError("the job script sets it; a setup line can set it anew")
    return name
