from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.qsub_reading import OPTIONS, qsub_reads, resources

from slidearray.core.pbs_directives import (
    CHUNK_RESOURCES,
    PASSED,
    REFUSED,
    REFUSED_ATTRIBUTES,
    REFUSED_RESOURCES,
    advance_options,
    array_options,
    checked_directive,
)
from slidearray.core.profile import parse_profile
from slidearray.core.shapes import Shape
from slidearray.errors import ProfileError

if TYPE_CHECKING:
    from slidearray.core.profile import Profile

LEAST: dict[str, object] = {
    "version": 1,
    "scheduler": "pbs",
    "walltime": "04:00:00",
    "memory": "32G",
}
ASKED = ["-l select=1:ncpus=1:mem=32768mb", "-l walltime=04:00:00"]
ADVANCE = ["-l select=1:ncpus=1:mem=4096mb", "-l walltime=01:00:00"]


def profile(**keys: object) -> Profile:
    return parse_profile({**LEAST, **keys}, source="p.yaml", name="p")


def options(profile: Profile) -> list[str]:
    return array_options(profile, profile.shape())


def refusal(**keys: object) -> str:
    with pytest.raises(ProfileError) as caught:
        profile(**keys)
    (line,) = str(caught.value).splitlines()
    return line


def directive_refusal(directive: str) -> str:
    line = refusal(directives=["-l software=x", directive])
    assert line.startswith("p.yaml: directives[1]: found ")
    return line


def test_every_option_of_qsub_is_refused_or_passed_through() -> None:
    assert {*REFUSED} | PASSED == {*OPTIONS} - {":"}
    assert not {*REFUSED} & PASSED


@pytest.mark.parametrize("letter", sorted(REFUSED))
@pytest.mark.parametrize("value", ["", "x", " x", " x y"])
def test_an_option_that_slidearray_gives_is_refused_with_the_reason(
    letter: str, value: str
) -> None:
    assert REFUSED[letter] in directive_refusal(f"-{letter}{value}")


@pytest.mark.parametrize("before", ["", "software=x,"])
@pytest.mark.parametrize("name", sorted(REFUSED_RESOURCES))
def test_a_resource_of_a_key_is_refused_with_the_key(name: str, before: str) -> None:
    for written in (name, name.upper()):
        reason = f"{written}: {REFUSED_RESOURCES[name]}"
        assert reason in directive_refusal(f"-l {before}{written}=1")


@pytest.mark.parametrize("before", ["", "stagein=a@b:c,d@e:f,"])
@pytest.mark.parametrize("name", sorted(REFUSED_ATTRIBUTES))
def test_an_attribute_that_slidearray_gives_is_refused_with_the_reason(
    name: str, before: str
) -> None:
    for written in (name, name.title()):
        reason = f"{written}: {REFUSED_ATTRIBUTES[name]}"
        assert reason in directive_refusal(f"-W {before}{written}=1")


@pytest.mark.parametrize("name", sorted(CHUNK_RESOURCES - {*REFUSED_RESOURCES}))
def test_a_resource_of_the_chunk_belongs_into_it(name: str) -> None:
    """Beside select qsub refuses it; where there is no chunk it passes."""
    for written in (name, name.upper()):
        option = f"-l software=x,{written}=1"
        assert f"{written}: put it into `constraint`" in directive_refusal(option)
        assert "advance_job.directives[0]" in refusal(advance_job={"directives": [option]})
        flat = profile(
            pbs_resources="flat", directives=[option], advance_job={"directives": [option]}
        )
        assert options(flat)[-1] == advance_options(flat)[-1] == option


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("-lsoftware=x", "write it as -l, one blank, and its value"),
        ("-l  software=x", "a value has letters"),
        ("-l", "one blank, and its value"),
        ("-l ", "one blank, and its value"),
        ("-l software", "write it as name=value"),
        ("-l a=1,walltime", "write it as name=value"),
        ("-l a=1,", "write it as name=value"),
        ("-l =1", "write it as name=value"),
        ("-W sandbox", "write it as name=value"),
        ("-t 0-3", "qsub has no such option"),
        ("-l software='a b'", "a value has letters"),
        ("-l a=b -J 0-3", "a value has letters"),
        ("-l a=b #c", "a value has letters"),
        ("-l a=$(id)", "a value has letters"),
        ("-l a=b\\", "a value has letters"),
        ('-W a="b"', "a value has letters"),
        ("-l a=b\n#PBS -J 0-3", "control character"),
        ("-l a=\x1bb", "control character"),
        ("--licenses=x", "accepted: a list of options"),
        ("#PBS -l a=b", "accepted: a list of options"),
        ("l a=b", "accepted: a list of options"),
        ("-", "accepted: a list of options"),
    ],
)
def test_what_qsub_would_read_otherwise_is_refused(written: str, reason: str) -> None:
    assert reason in directive_refusal(written)


@pytest.mark.parametrize(
    "written",
    ["-l filesystems=home:eagle", "-l storage=gdata/ab12+scratch/cd34", "-l place=scatter:excl",
     "-l jobfs=10GB,software=x", "-W sandbox=PRIVATE", "-W stagein=a@b:/c,d@e:/f", "-p -100",
     "-a 2712312359", "-c n"],
)  # fmt: skip
def test_other_options_are_passed_through_as_they_are(written: str) -> None:
    assert options(profile(directives=[written])) == [*ASKED, written]
    assert qsub_reads(f"#PBS {written}") == [(written[:2], written[3:])]


HOSTILE = st.text(st.sampled_from(sorted(" ,:+=\"'\\#$`;&@\t\nab0-l")), max_size=4)


@given(st.sampled_from(["-l a=", "-W a=", "-p ", "-l a=b,", "-J", "-"]), HOSTILE, HOSTILE)
def test_what_is_let_through_is_one_option_with_its_very_value(
    head: str, first: str, second: str
) -> None:
    text = f"{head}{first}x{second}"
    try:
        checked_directive(text)
    except ValueError:
        return
    ((name, value),) = qsub_reads(f"#PBS {text}")
    assert f"{name} {value}" == text
    assert name[1] in PASSED


ALL_KEYS: dict[str, object] = {
    "cpus_per_task": 8,
    "queue": "gpu",
    "project": "ab12",
    "group": "lab",
    "account": "lab@site",
    "constraint": "gpu_type=a100:host=n1",
    "gpus": 2,
    "directives": ["-l filesystems=home:eagle"],
}
WHOSE = ["-q gpu", "-P ab12", "-A lab@site", "-W group_list=lab"]


def test_keys_become_options_in_order() -> None:
    assert options(profile(**ALL_KEYS)) == [
        *WHOSE,
        "-l select=1:ncpus=8:mem=32768mb:ngpus=2:gpu_type=a100:host=n1",
        "-l walltime=04:00:00",
        "-l filesystems=home:eagle",
    ]


def test_flat_resources_have_no_chunk() -> None:
    assert options(profile(**ALL_KEYS, pbs_resources="flat")) == [
        *WHOSE,
        "-l ncpus=8",
        "-l mem=32768mb",
        "-l ngpus=2",
        "-l gpu_type=a100",
        "-l host=n1",
        "-l walltime=04:00:00",
        "-l filesystems=home:eagle",
    ]


def test_a_key_that_says_nothing_becomes_nothing() -> None:
    assert options(profile()) == ASKED
    assert advance_options(profile()) == [*ADVANCE, "-m n"]


def test_a_slot_asks_for_its_own_shape_and_never_writes_days() -> None:
    shape = Shape(cpus=4, memory_mb=100, walltime_s=2 * 86_400 + 61)
    assert array_options(profile(walltime="9-00:00:00"), shape) == [
        "-l select=1:ncpus=4:mem=100mb",
        "-l walltime=48:01:01",
    ]


def test_the_job_that_follows_takes_over_whose_it_is_and_never_what_arrays_need() -> None:
    assert advance_options(profile(**ALL_KEYS)) == [*WHOSE, *ADVANCE, "-m n"]


def test_the_job_that_follows_has_its_own_keys_first_and_the_mail() -> None:
    keys = {
        **ALL_KEYS,
        "pbs_resources": "flat",
        "advance_job": {
            "queue": "small",
            "project": "cd34",
            "group": "other",
            "account": "y",
            "constraint": "arch=zen3",
            "memory": "8G",
            "cpus_per_task": 2,
            "directives": ["-l software=x"],
        },
        "mail": {"to": "me@example.org", "on": ["END", "BEGIN"]},
    }
    assert advance_options(profile(**keys)) == [
        "-q small",
        "-P cd34",
        "-A y",
        "-W group_list=other",
        "-l ncpus=2",
        "-l mem=8192mb",
        "-l arch=zen3",
        "-l walltime=01:00:00",
        "-m be",
        "-M me@example.org",
        "-l software=x",
    ]


@pytest.mark.parametrize(
    ("on", "letters"), [(["ALL"], "abe"), (["FAIL", "FAIL"], "a"), (["ALL", "END"], "abe")]
)
def test_mail_is_asked_for_in_letters(on: list[str], letters: str) -> None:
    assert advance_options(profile(mail={"on": on})) == [*ADVANCE, f"-m {letters}"]


def test_mail_that_pbs_does_not_send_is_refused() -> None:
    line = refusal(mail={"on": ["END", "TIME_LIMIT_80"]})
    assert line.startswith("p.yaml: mail.on: found 'TIME_LIMIT_80': PBS does not tell; accepted: ")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("queue", "gpu@other", "jobs at another server cannot be followed"),
        ("queue", "a b", "accepted: the name of a queue"),
        ("queue", "-q", "accepted: the name of a queue"),
        ("queue", "$(id)", "accepted: the name of a queue"),
        ("project", "a/b", "accepted: letters, digits"),
        ("project", 'a"', "accepted: letters, digits"),
        ("group", "a,b", "accepted: letters, digits"),
        ("group", "a=b", "accepted: letters, digits"),
        ("group", "a\\", "accepted: letters, digits"),
        ("account", "a'b", "accepted: letters, digits"),
        ("gpus", "a100:1", "constraint: gpu_type=a100 names a kind"),
        ("constraint", "gold", "takes name=value"),
        ("constraint", "a=b+1", "takes name=value"),
        ("constraint", "a=b,c=d", "takes name=value"),
        ("constraint", "a=b:", "takes name=value"),
        ("constraint", "a=b:c=d,e=f", "takes name=value"),
        ("constraint", "a=b c", "accepted: features"),
        ("constraint", "gpu_type=x:ngpus=4", "ngpus: the key gpus does that"),
        ("constraint", "MEM=1gb", "MEM: the key memory does that"),
        ("constraint", "nodect=2", "nodect: PBS counts"),
        ("constraint", "gpu_type=a:x=1:gpu_type=b", "gpu_type is named twice"),
        ("constraint", "host=a:HOST=b", "host is named twice"),
        ("pbs_resources", "nodes", "accepted: select or flat"),
    ],
)
def test_a_value_that_pbs_cannot_take_is_refused_by_its_key(
    key: str, value: str, reason: str
) -> None:
    line = refusal(**{key: value})
    assert line.startswith(f"p.yaml: {key}: found {value!r}")
    assert reason in line


@pytest.mark.parametrize(
    ("keys", "place", "reason"),
    [
        ({"directives": ["-p 1", "-J 0-3"]}, "directives[1]: found '-J 0-3'", "for every job"),
        ({"directives": ["--x=1"]}, "directives[0]: found '--x=1'", "accepted: a list of options"),
        ({"constraint": "a=b:a=c"}, "constraint: found 'a=b:a=c'", "a is named twice"),
        ({"constraint": "gold"}, "constraint: found 'gold'", "takes name=value"),
        ({"queue": "a@b"}, "queue: found 'a@b'", "cannot be followed"),
    ],
)
def test_keys_of_the_job_that_follows_are_held_to_the_same_rules(
    keys: dict[str, object], place: str, reason: str
) -> None:
    line = refusal(advance_job=keys)
    assert line.startswith(f"p.yaml: advance_job.{place}")
    assert reason in line


@given(
    key=st.sampled_from(["queue", "project", "group", "account", "constraint"]),
    hostile=HOSTILE,
    place=st.integers(0, 24),
    flat=st.booleans(),
)
def test_qsub_reads_back_what_the_keys_mean_or_the_key_is_refused(
    key: str, hostile: str, place: int, *, flat: bool
) -> None:
    sound = str(ALL_KEYS[key])
    keys = {**ALL_KEYS, "directives": [], key: sound[:place] + hostile + sound[place:]}
    try:
        ours = profile(**keys, pbs_resources="flat" if flat else "select")
    except ProfileError as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert refused.startswith(f"p.yaml: {key}: found ")
        return
    script = "".join(f"#PBS {option}\n" for option in options(ours))
    read = qsub_reads(script)
    whose = {"-q": ours.queue, "-P": ours.project, "-A": ours.account}
    assert {name: value for name, value in read if name not in {"-l", "-W"}} == {
        name: value for name, value in whose.items() if value is not None
    }
    assert [value for name, value in read if name == "-W"] == (
        [f"group_list={ours.group}"] if ours.group else []
    )
    chunk = ["ncpus=8", "mem=32768mb", "ngpus=2"]
    chunk += ours.constraint.split(":") if ours.constraint else []
    asked = chunk if flat else [":".join(["select=1", *chunk])]
    assert resources(read) == [*asked, "walltime=04:00:00"]
