"""A profile written as a file is read back equal, but for what was changed."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from slidearray.core.profile import Profile, parse_profile
from slidearray.core.profile_yaml import profile_yaml
from slidearray.core.suggesting import Suggestion
from slidearray.errors import ProfileError
from slidearray.storage.yamls import read_yaml

SMALL = {"version": 1, "scheduler": "slurm", "walltime": "04:00:00", "memory": "16G"}


def parsed(raw: object) -> Profile:
    return parse_profile(raw, source="test", name="ours")


def change(key: str, now: str | float, value: str | float) -> Suggestion:
    return Suggestion(file="profile", key=key, now=now, value=value, reason="it was more")


def test_changed_values_say_what_they_were_and_why() -> None:
    raw = {
        **SMALL,
        "setup": ["module load cuda/12", "source .venv/bin/activate"],
        "cpus_per_task": 8,
    }
    changes = [change("memory", "16G", "2.5G"), change("cpus_per_task", 8, 1)]
    assert profile_yaml(parsed(raw), changes, head="ours, mended") == (
        "# ours, mended\n"
        "version: 1\n"
        "scheduler: slurm\n"
        'walltime: "04:00:00"\n'
        "cpus_per_task: 1  # was 8: it was more\n"
        "memory: 2.5G  # was 16G: it was more\n"
        "setup:\n"
        '  - "module load cuda/12"\n'
        '  - "source .venv/bin/activate"\n'
    )


WORDS = st.text(min_size=1, max_size=12)
TRICKY = st.sampled_from(
    ["null", "~", "yes", "off", "1e3", "012", "10:00:00", "a: b", "a #b", "'", '"', "\\", "-", "é",
     "😀", "\ufffe", "[x]", "{x}", "<<", "!x", "&x", "*x", "%x", "`", "16G", "0x1F"]
)  # fmt: skip
LINES = WORDS | TRICKY


@given(
    st.fixed_dictionaries(
        {name: st.just(value) for name, value in SMALL.items()},
        optional={
            "setup": st.lists(LINES, max_size=3),
            "python": LINES,
            "template": LINES,
            "partition": LINES,
            "max_array_size": st.just("auto") | st.integers(0, 9),
            "advance_job": st.fixed_dictionaries({}, optional={"memory": st.just("2G")}),
            "environment": st.lists(st.sampled_from(["HF_TOKEN_PATH", "LANGUAGE"]), max_size=2),
        },
    )
)
def test_a_profile_is_read_back_equal(raw: dict[str, Any]) -> None:
    try:
        profile = parsed(raw)
    except ProfileError:
        assume(False)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "profile.yaml"
        file.write_text(profile_yaml(profile, [], head="x"), encoding="utf-8")
        assert parsed(read_yaml(file)) == profile
