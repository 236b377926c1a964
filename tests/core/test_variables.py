from __future__ import annotations

import pytest

from slidearray.core.variables import checked_variable


@pytest.mark.parametrize(
    "name",
    ["OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM", "MONKEY", "KEYBOARD", "_x", "a1", "PYTHONPATH",
     "http_proxy", "COMPASS", "AUTHOR", "LC_TIME"],
)  # fmt: skip
def test_a_usual_name_is_accepted(name: str) -> None:
    assert checked_variable(name) == name


@pytest.mark.parametrize(
    "name",
    ["HF_TOKEN", "token", "GITHUBTOKEN", "CI_JOB_TOKENS", "MY_SECRET_X", "PGPASSWORD", "ROOT_PW",
     "DB_PASSWD", "PASSPHRASE", "GOOGLE_APPLICATION_CREDENTIALS", "OPENAI_API_KEY", "APIKEY",
     "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "SSH_PRIVATE", "KEY", "SSH_KEYS", "db_pass",
     "DOCKER_AUTH_CONFIG"],
)  # fmt: skip
def test_a_name_that_looks_like_a_secret_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="store and show the environment"):
        checked_variable(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ALL", "never all of them"),
        ("NONE", "never all of them"),
        ("NIL", "never all of them"),
        ("*", "never all of them"),
        ("SLURM_*", "never all of them"),
        ("SLURM_JOB_ID", "the scheduler sets it"),
        ("SBATCH_PARTITION", "the scheduler sets it"),
        ("SQUEUE_FORMAT", "the scheduler sets it"),
        ("PBS_JOBID", "the scheduler sets it"),
        ("LC_ALL", "the job script sets it"),
        ("HF_HOME", "the job script sets it"),
        ("", "letters, digits and _"),
        ("1A", "letters, digits and _"),
        ("A B", "letters, digits and _"),
        ("A=1", "letters, digits and _"),
        ("A,B", "letters, digits and _"),
        ("\u00c9", "letters, digits and _"),
        ("A\n", "letters, digits and _"),
    ],
)
def test_a_name_that_cannot_be_handed_on_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        checked_variable(name)
