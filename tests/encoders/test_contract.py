from __future__ import annotations

import hashlib
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from slidearray.core.classes import FailureClass
from slidearray.encoders.color_texture import ColorTexture
from slidearray.encoders.contract import encode_checked, load_encoder
from slidearray.errors import EncoderError, SlideError

if TYPE_CHECKING:
    from pathlib import Path

MEANS = """
import numpy as np

class Means:
    name = "means"
    dim = 3
    {attributes}
    def __init__(self, scale=1.0):
        self.scale = scale
    def encode(self, tiles):
        return (tiles.mean((1, 2)) * self.scale).astype(np.float32)

make = Means
def fails(): raise ValueError("no weights")
def leaves(): raise SystemExit
nothing = None
"""


def write(folder: Path, *, attributes: str = "", name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(MEANS.replace("{attributes}", attributes))
    return path


def load(folder: Path, attributes: str = "", **options: Any) -> Any:
    write(folder, attributes=attributes)
    return load_encoder("python:mine.py:make", options, root=folder)


def refused(name: str, root: Path, **options: Any) -> str:
    with pytest.raises(EncoderError) as info:
        load_encoder(name, options, root=root)
    return str(info.value)


def test_the_built_in_encoder_needs_no_options(tmp_path: Path) -> None:
    loaded = load_encoder("color-texture", {}, root=tmp_path)
    assert (loaded.spec.name, loaded.spec.feature_dim) == ("color-texture", 72)
    assert loaded.spec.source_sha256 is loaded.spec.weights_sha256 is None
    assert loaded.feature_names == ColorTexture().feature_names
    assert "has no options, found ['bins']" in refused("color-texture", tmp_path, bins=3)


def test_a_file_is_found_from_the_root_and_gets_its_options(tmp_path: Path) -> None:
    loaded = load(tmp_path, scale=2.0)
    tiles = np.full((2, 4, 4, 3), 10, np.uint8)
    assert encode_checked(loaded, tiles).tolist() == [[20, 20, 20]] * 2
    assert loaded.spec.options == {"scale": 2.0}
    assert loaded.spec.version == 1
    source = (tmp_path / "mine.py").read_bytes()
    assert loaded.spec.source_sha256 == hashlib.sha256(source).hexdigest()


def test_two_files_of_one_name_are_two_encoders(tmp_path: Path) -> None:
    first = load(tmp_path, "version = 1")
    second = load(tmp_path, "version = 2")
    assert (first.spec.version, second.spec.version) == (1, 2)
    assert first.spec.source_sha256 != second.spec.source_sha256


def test_a_module_is_found_as_python_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, name="module_for_a_test.py")
    monkeypatch.syspath_prepend(tmp_path)
    loaded = load_encoder("python:module_for_a_test:make", {}, root=tmp_path / "elsewhere")
    assert loaded.spec.name == "means"
    assert loaded.spec.source_sha256 is not None
    del sys.modules["module_for_a_test"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet", ["'resnet' is unknown", "color-texture"]),
        ("python:mine.py", ["expected python:MODULE_OR_FILE:factory"]),
        ("python::make", ["expected python:MODULE_OR_FILE:factory"]),
        ("python:gone.py:make", ["gone.py: No such file"]),
        ("python:./:make", ["Is a directory"]),
        ("python:./text:make", ["must end in .py"]),
        ("python:no_such_module_here:make", ["ModuleNotFoundError", "no_such_module_here"]),
        ("python:mine.py:build", ["has no callable 'build'", "Means, fails, leaves, make"]),
        ("python:mine.py:nothing", ["has no callable 'nothing'"]),
        ("python:mine.py:fails", ["ValueError: no weights", "mine.py:14"]),
        ("python:mine.py:leaves", ["SystemExit", "mine.py:15"]),
        ("python:broken.py:make", ["SyntaxError", "broken.py, line 2"]),
    ],
)
def test_what_cannot_be_loaded_is_said_with_its_place(
    tmp_path: Path, name: str, words: list[str]
) -> None:
    write(tmp_path)
    (tmp_path / "text").write_text("")
    (tmp_path / "broken.py").write_text("import numpy\nclass\n")
    message = refused(name, tmp_path)
    assert all(word in message for word in [name.removeprefix("python:"), *words]), message


def test_an_option_that_the_factory_does_not_take_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    message = refused("python:mine.py:make", tmp_path, colour=1)
    assert message.endswith("got an unexpected keyword argument 'colour'")


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ("name = ''", "its name must be a text without control characters, found ''"),
        ("name = 'a\\nb'", "its name must be"),
        ("name = None", "its name must be"),
        ("dim = 0", "its dim must be an integer of 1 or more, found 0"),
        ("dim = True", "its dim must be"),
        ("dim = 3.0", "its dim must be"),
        ("version = '1'", "its version must be an integer, found '1'"),
        ("weights_sha256 = 'abc'", "its weights_sha256 must be 64 lower-case hex digits"),
        ("feature_names = ['a', 'b']", "its feature_names must be 3 different texts"),
        ("feature_names = ['a', 'b', 'a']", "its feature_names must be"),
        ("feature_names = ['a', 'b', 3]", "its feature_names must be"),
        ("feature_names = 'abc'", "its feature_names must be"),
        ("feature_names = 3", "its feature_names must be"),
    ],
)
def test_a_broken_contract_says_what_is_accepted(
    tmp_path: Path, attributes: str, words: str
) -> None:
    write(tmp_path, attributes=attributes)
    message = refused("python:mine.py:make", tmp_path)
    assert "encoder python:mine.py:make: " + words in message


def test_an_encoder_without_encode_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("class make:\n    name = 'x'\n    dim = 1\n")
    assert "its encode must be a method" in refused("python:mine.py:make", tmp_path)


def test_what_an_encoder_says_of_itself_reaches_the_recipe(tmp_path: Path) -> None:
    weights = "0123456789abcdef" * 4
    loaded = load(
        tmp_path,
        f"version = 7; weights_sha256 = {weights!r}; feature_names = ['r', 'g', 'b']",
    )
    assert (loaded.spec.version, loaded.spec.weights_sha256) == (7, weights)
    assert loaded.feature_names == ("r", "g", "b")


TILES = np.zeros((2, 4, 4, 3), np.uint8)


def giving(tmp_path: Path, result: object, *, names: bool = False) -> Any:
    loaded = load(tmp_path, "feature_names = ['r', 'g', 'b']" if names else "")
    loaded.encoder.encode = lambda tiles: result
    return loaded


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        (np.float16, np.float16),
        (np.float32, np.float32),
        (np.float64, np.float32),
        (np.longdouble, np.float32),
        (">f4", np.float32),
    ],
)
def test_floats_are_kept_or_become_float32(tmp_path: Path, dtype: Any, kept: Any) -> None:
    features = encode_checked(giving(tmp_path, np.ones((2, 3), dtype)), TILES)
    assert features.dtype == np.dtype(kept)
    assert features.tolist() == [[1, 1, 1]] * 2


def test_a_tensor_on_a_device_is_brought_here(tmp_path: Path) -> None:
    here = SimpleNamespace(dtype="torch.bfloat16", float=lambda: np.ones((2, 3), np.float32))
    tensor = SimpleNamespace(detach=lambda: SimpleNamespace(cpu=lambda: here))
    assert encode_checked(giving(tmp_path, tensor), TILES).dtype == np.float32


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (np.ones((3, 3)), r"gave shape \(3, 3\) for 2 tiles, not \(2, 3\)"),
        (np.ones(6), r"gave shape \(6,\)"),
        (np.ones((2, 3), int), "gave int64 numbers"),
        (np.ones((2, 3), bool), "gave bool numbers"),
        ([["a", "b", "c"]] * 2, "gave <U1 numbers"),
        (np.array([[0, 0, 0], [0, np.nan, 0]]), "gave nan as feature 1 of tile 1"),
        (np.array([[0, 0, -np.inf], [0, 0, 0]]), "gave -inf as feature 2 of tile 0"),
        (np.full((2, 3), 1e300), "gave inf as feature 0 of tile 0"),
    ],
)
def test_other_features_fail_the_slide(tmp_path: Path, result: object, words: str) -> None:
    with pytest.raises(SlideError, match=words) as info:
        encode_checked(giving(tmp_path, result), TILES)
    assert info.value.failure == FailureClass.BAD_FEATURES


def test_a_value_that_is_not_finite_is_told_by_its_features_name(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match=r"feature 2 \(b\)"):
        encode_checked(giving(tmp_path, np.array([[0, 0, np.nan]] * 2), names=True), TILES)


def test_no_tiles_give_no_features_without_asking(tmp_path: Path) -> None:
    loaded = giving(tmp_path, "never asked")
    features = encode_checked(loaded, TILES[:0])
    assert features.shape == (0, 3)
    assert features.dtype == np.float32


def test_code_of_the_project_is_found_and_never_hides_an_installed_module(tmp_path: Path) -> None:
    (tmp_path / "colours.py").write_text("DIM = 3\n")
    (tmp_path / "random.py").write_text("raise RuntimeError('not me')\n")
    (tmp_path / "mine_in_project.py").write_text(
        "import random, numpy as np, colours\n"
        "class Own:\n"
        "    name, dim = 'own', colours.DIM\n"
        "    def encode(self, tiles):\n"
        "        return np.zeros((len(tiles), 3), np.float32)\n"
    )
    for place in ("mine_in_project", "mine_in_project.py"):
        assert load_encoder(f"python:{place}:Own", {}, root=tmp_path).spec.feature_dim == 3
