from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.sbatch_reading import sbatch_reads

from slidearray.core.profile import parse_profile
from slidearray.core.slurm_directives import (
    REFUSED,
    SHORT_FORMS,
    advance_options,
    array_options,
    checked_directive,
)
from slidearray.errors import ProfileError

if TYPE_CHECKING:
    from slidearray.core.profile import Profile

LEAST: dict[str, object] = {
    "version": 1,
    "scheduler": "slurm",
    "walltime": "04:00:00",
    "memory": "32G",
}

#: Options of sbatch 22.05 and 26.11 that no key makes and that leave slidearray in charge.
FREE = [
    "acctg-freq", "bb", "bbf", "begin", "comment", "contiguous", "core-spec",
    "cores-per-socket", "deadline", "delay-boot", "distribution", "exclusive", "extra-node-info",
    "get-user-env", "gid", "gpu-bind", "gpu-freq", "gres", "gres-flags", "hint", "ignore-pbs",
    "input", "kill-on-invalid-dep", "licenses", "mcs-label", "mem-bind", "mincpus", "network",
    "no-kill", "oom-kill-step", "overcommit", "oversubscribe", "prefer", "priority", "profile",
    "propagate", "reboot", "segment", "sockets-per-node", "spread-job", "switches",
    "thread-spec", "threads-per-core", "tmp", "uid", "use-min-nodes", "verbose", "wckey",
]  # fmt: skip

ANY_VALUE = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")))


def profile(**keys: object) -> Profile:
    return parse_profile({**LEAST, **keys}, source="p.yaml", name="p")


def refusal(directive: str) -> str:
    with pytest.raises(ProfileError) as caught:
        profile(directives=["--comment=x", directive])
    (line,) = str(caught.value).splitlines()
    assert line.startswith("p.yaml: directives[1]: found ")
    return line


@pytest.mark.parametrize("option", sorted(REFUSED))
@pytest.mark.parametrize("value", ["", "=1", "=x y"])
def test_an_option_that_slidearray_gives_is_refused_with_the_reason(
    option: str, value: str
) -> None:
    assert REFUSED[option] in refusal(f"--{option}{value}")


@pytest.mark.parametrize("letter", sorted(SHORT_FORMS))
@pytest.mark.parametrize("value", ["", "0-3", " 0-3"])
def test_its_short_form_is_refused_with_the_same_reason(letter: str, value: str) -> None:
    name = SHORT_FORMS[letter]
    assert f"it is --{name}: {REFUSED[name]}" in refusal(f"-{letter}{value}")


@given(st.sampled_from(sorted(REFUSED)), st.data())
def test_no_beginning_of_such_an_option_is_let_through(option: str, data: st.DataObject) -> None:
    beginning = option[: data.draw(st.integers(1, len(option)))]
    with pytest.raises(ValueError, match=r"\w"):
        checked_directive(f"--{beginning}=1")


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("--arr=0-3", "sbatch may read it as --array: slidearray sets it"),
        ("--part=x", "sbatch may read it as --partition: the key partition does that"),
        ("--gres=gpu:1", "the key gpus does that"),
        ("--gres=nvme:1,gpu:a100:2", "the key gpus does that"),
        ("--gres=gres/gpu=1", "the key gpus does that"),
        ("-L matlab", "write the long form"),
        ("--comment='a b'", "write the value without quotes"),
        ('--comment="a b"', "write the value without quotes"),
        ("--comment=a\nb", "control character"),
        ("--comment=a\x1bb", "control character"),
    ],
)
def test_what_sbatch_would_read_otherwise_is_refused(written: str, reason: str) -> None:
    assert reason in refusal(written)


@pytest.mark.parametrize(
    "written", ["licenses=x", "--licenses x", "#SBATCH --exclusive", "--", "-", "--=1", "x", "-1",
                "--a b=c", "--\u00e9=1"],
)  # fmt: skip
def test_what_is_no_option_is_refused(written: str) -> None:
    assert "accepted: a list of options of sbatch" in refusal(written)


@pytest.mark.parametrize("name", FREE)
def test_every_other_option_is_passed_through(name: str) -> None:
    given = (f"--{name}", f"--{name}=a b")
    assert array_options(profile(directives=given)) == [f"--{name}", f'--{name}="a b"']


def in_quotes(value: str) -> bool:
    return len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"


@given(ANY_VALUE.filter(lambda value: not in_quotes(value)))
def test_sbatch_reads_the_very_value_that_was_written(value: str) -> None:
    (option,) = array_options(profile(directives=[f"--comment={value}"]))
    assert sbatch_reads(option) == f"--comment={value}"


ALL_KEYS: dict[str, object] = {
    "partition": "cpu,long",
    "account": "lab@site",
    "qos": "high",
    "reservation": "course",
    "constraint": "[rack1|rack2]&gold",
    "nodelist": "n1,n[3-5]",
    "exclude": "n9",
    "nice": -5,
    "gpus": "a100:2",
    "directives": ["--exclusive", "--comment=a #b"],
}


def test_keys_become_options_in_order() -> None:
    assert array_options(profile(**ALL_KEYS)) == [
        "--partition=cpu,long",
        "--account=lab@site",
        "--qos=high",
        "--reservation=course",
        '--constraint="[rack1|rack2]&gold"',
        '--nodelist="n1,n[3-5]"',
        "--exclude=n9",
        "--gres=gpu:a100:2",
        "--nice=-5",
        "--exclusive",
        '--comment="a #b"',
    ]


def test_a_key_that_says_nothing_becomes_nothing() -> None:
    assert array_options(profile()) == []
    assert advance_options(profile()) == []


@pytest.mark.parametrize(
    ("keys", "option"),
    [
        ({"gpus": 2}, "--gres=gpu:2"),
        ({"gpus": 2, "gpu_directive": "gpus"}, "--gpus=2"),
        ({"gpus": "a100:1"}, "--gres=gpu:a100:1"),
        ({"gpus": "a100:1", "gpu_directive": "gpus"}, "--gpus=a100:1"),
        ({"nice": 0}, "--nice=0"),
    ],
)
def test_a_key_becomes_its_option(keys: dict[str, object], option: str) -> None:
    assert array_options(profile(**keys)) == [option]


@pytest.mark.parametrize(
    ("own", "failed", "option"),
    [
        (None, ["n1", "n2"], "--exclude=n1,n2"),
        ("n[1-3]", ["n7"], '--exclude="n[1-3],n7"'),
        ("n7", ["n7", "n7"], "--exclude=n7"),
    ],
)
def test_failed_nodes_are_excluded_with_those_of_the_profile(
    own: str | None, failed: list[str], option: str
) -> None:
    assert array_options(profile(exclude=own), exclude=failed) == [option]


def test_the_job_that_follows_takes_over_whose_it_is_and_never_what_arrays_need() -> None:
    assert advance_options(profile(**ALL_KEYS)) == [
        "--partition=cpu,long",
        "--account=lab@site",
        "--qos=high",
        "--reservation=course",
    ]


def test_the_job_that_follows_has_its_own_keys_first_and_the_mail() -> None:
    keys = {
        **ALL_KEYS,
        "advance_job": {
            "partition": "small",
            "account": "other",
            "qos": "low",
            "reservation": "none-of-it",
            "constraint": "fast",
            "directives": ["--comment=b"],
        },
        "mail": {"to": "me@example.org", "on": ["END", "TIME_LIMIT_80"]},
    }
    assert advance_options(profile(**keys)) == [
        "--partition=small",
        "--account=other",
        "--qos=low",
        "--reservation=none-of-it",
        "--constraint=fast",
        "--mail-user=me@example.org",
        "--mail-type=END,TIME_LIMIT_80",
        "--comment=b",
    ]


def test_mail_without_an_address_goes_to_whoever_submits() -> None:
    assert advance_options(profile(mail={})) == ["--mail-type=END,FAIL"]
    assert array_options(profile(mail={"to": "me@example.org"})) == []


def test_directives_of_the_job_that_follows_are_held_to_the_same_rules() -> None:
    with pytest.raises(ProfileError, match=r"advance_job\.directives\[0\].*the key gpus does that"):
        profile(advance_job={"directives": ["--gres=gpu:1"]})


@pytest.mark.parametrize(
    ("keys", "refused"),
    [
        ({"gpus": 1, "directives": ["--gres=nvme:1"]}, True),
        ({"gpus": 1, "gpu_directive": "gpus", "directives": ["--gres=nvme:1"]}, False),
        ({"directives": ["--gres=nvme:1"]}, False),
        ({"gpus": 1, "directives": ["--gres-flags=x"]}, False),
    ],
)
def test_no_directive_takes_the_gpus_away(keys: dict[str, object], refused: bool) -> None:
    if refused:
        with pytest.raises(ProfileError, match="directives: --gres would stand in for"):
            profile(**keys)
    else:
        profile(**keys)
