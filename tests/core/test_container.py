from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidearray.core.container import container_words
from slidearray.core.profile import parse_profile
from slidearray.errors import ProfileError, RunError

LEAST: dict[str, object] = {
    "version": 1,
    "scheduler": "local",
    "walltime": "04:00:00",
    "memory": "32G",
}
HERE = "/data/project"


def words(folders: tuple[str, ...] = (HERE,), **container: object) -> list[str]:
    raw = {**LEAST, "container": {"image": "x.sif", **container}}
    found = parse_profile(raw, source="p.yaml", name="p").container
    assert found
    return container_words(found, folders=folders)


def fault(**container: object) -> str:
    with pytest.raises(ProfileError) as caught:
        words((HERE,), **container)
    (line,) = str(caught.value).splitlines()
    return line


def test_our_folders_are_bound_first_then_the_profiles_then_its_options_and_the_image() -> None:
    assert words(
        (HERE, "/runs/a b"),
        image="images/it's mine.sif",
        binds=["/data/slides:/slides:ro", "/scratch"],
        options=["--nv", "--env=A=b"],
    ) == [
        "apptainer", "exec", "--bind", HERE, "--bind", "/runs/a b",
        "--bind", "/data/slides:/slides:ro", "--bind", "/scratch",
        "--nv", "--env=A=b", "images/it's mine.sif",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--pid", "pid namespace"),
        ("-p", "pid namespace"),
        ("-ip", "pid namespace"),
        ("--pid=true", "pid namespace"),
        ("--containall", "includes --pid and --cleanenv"),
        ("-C", "includes --pid and --cleanenv"),
        ("--compat", "pid namespace"),
        ("--fusemount=host:sshfs x /x", "pid namespace"),
        ("--boot", "pid namespace"),
        ("--oci", "pid namespace"),
        ("--cleanenv", "would not see the scheduler's variables"),
        ("-ce", "would not see the scheduler's variables"),
        ("--sharens", "outside of the job"),
        ("--no-mount=proc", "reads its limits"),
        ("--no-mount=home,sys", "reads its limits"),
        ("--bind=/x", "the key binds does that"),
        ("-B/x", "the key binds does that"),
        ("--mount=type=bind,src=/x,dst=/x", "the key binds does that"),
        ("nv", "each option is one text"),
        ("/other/image.sif", "each option is one text"),
        ("--", "each option is one text"),
        ("-", "each option is one text"),
        ("--nv\n", "control character"),
    ],
)
def test_an_option_that_breaks_the_worker_is_refused_with_the_reason(
    option: str, reason: str
) -> None:
    line = fault(options=["--nv", option])
    assert line.startswith("p.yaml: container.options[1]: found ")
    assert reason in line


@pytest.mark.parametrize(
    "option",
    ["--nv", "--rocm", "--contain", "-c", "--fakeroot", "--writable-tmpfs", "--no-home", "--no-pid",
     "--no-mount=home", "--env=A=--pid", "--overlay=/x.img", "-W/pepper", "-H/home/Cecil", "-u"],
)  # fmt: skip
def test_other_options_are_passed_on(option: str) -> None:
    assert option in words(options=[option])


@pytest.mark.parametrize(
    "bind",
    ["data", "", "/a:b", "/a:/b:rx", "/a,/b", "/a:/b:ro:x", "/a^b", "/a\\b", "/a ", "/a\n", "~/x"],
)
def test_a_bind_that_apptainer_would_read_otherwise_is_refused(bind: str) -> None:
    line = fault(binds=["/ok", bind])
    assert line.startswith("p.yaml: container.binds[1]: found ")
    assert "accepted: a list of folders such as /data" in line


def test_a_variable_in_a_bind_is_refused_with_what_to_write_instead() -> None:
    assert 'export APPTAINER_BIND="$TMPDIR:/scratch"' in fault(binds=["$TMPDIR:/scratch"])


@pytest.mark.parametrize(
    ("image", "reason"),
    [("-x", "read as an option"), ("instance://web", "outside of the job"), ("", "it is empty"),
     ("a\nb", "control character")],
)  # fmt: skip
def test_an_image_that_is_none_is_refused(image: str, reason: str) -> None:
    line = fault(image=image)
    assert line.startswith("p.yaml: container.image: found ")
    assert reason in line


@pytest.mark.parametrize("folder", ["/a:b", "/a,b", "/a^b", "/a\\b", "/a "])
def test_a_folder_that_cannot_be_bound_is_refused_by_name(folder: str) -> None:
    with pytest.raises(RunError, match="cannot bind a folder with") as caught:
        words((HERE, folder))
    assert str(caught.value).startswith(f"{folder}: ")


@given(st.text(st.characters(exclude_characters=",:^\\"), min_size=1))
def test_every_other_folder_is_bound_as_it_is(name: str) -> None:
    folder = f"/data/{name.strip() or 'x'}"
    assert words((folder,))[:4] == ["apptainer", "exec", "--bind", folder]
