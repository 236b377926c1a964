"""What an encoder is, how it is loaded, and what is checked of its features."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from slidearray.core.classes import FailureClass
from slidearray.core.recipe import EncoderSpec
from slidearray.encoders.user_code import call_user_code, load_factory
from slidearray.errors import EncoderError, SlideError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Features = NDArray[np.float16] | NDArray[np.float32]

COLOR_TEXTURE = "color-texture"
PYTHON_PREFIX = "python:"
SHA256 = re.compile(r"[0-9a-f]{64}")
KEPT_DTYPES = (np.dtype(np.float16), np.dtype(np.float32))


class Encoder(Protocol):
    """Turns tiles into features.

    An encoder may also have ``feature_names`` (a sequence of `dim` texts), ``weights_sha256``
    (64 hex digits: other weights make another recipe) and ``version`` (an integer, raised when
    the same tiles get other features).
    """

    name: str
    dim: int  # features per tile

    def encode(self, tiles: NDArray[np.uint8]) -> NDArray[Any]:
        """Turn (n, h, w, 3) RGB tiles into (n, dim) floats; a tile's row depends on it alone."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedEncoder:
    """An encoder that keeps its contract, as far as can be told before the first tile."""

    encoder: Encoder
    spec: EncoderSpec
    feature_names: tuple[str, ...]  # empty when the encoder names none


def load_encoder(name: str, options: Mapping[str, Any], *, root: Path) -> LoadedEncoder:
    """Load the encoder of a config.

    Parameters
    ----------
    name
        ``color-texture``, or ``python:MODULE_OR_FILE:factory``: a callable that takes the options
        and returns an encoder.
    options
        Keyword arguments of the encoder.
    root
        Folder that a relative file in `name` belongs to.

    Raises
    ------
    EncoderError
        Saying what is wrong, with file and line where the user's code failed.
    """
    if name == COLOR_TEXTURE:
        return _described(_color_texture(options), name=name, options=options, source=None)
    if not name.startswith(PYTHON_PREFIX):
        raise EncoderError(
            f"encoder {name!r} is unknown; known are {COLOR_TEXTURE} "
            f"and {PYTHON_PREFIX}MODULE_OR_FILE:factory"
        )
    factory = load_factory(name.removeprefix(PYTHON_PREFIX), name=name, root=root)
    encoder = call_user_code(lambda: factory.call(**options), doing=f"encoder {name}: the factory")
    loaded: LoadedEncoder = call_user_code(  # its attributes may be code too
        lambda: _described(encoder, name=name, options=options, source=factory.source_sha256),
        doing=f"encoder {name}: reading its attributes",
    )
    return loaded


def encode_checked(loaded: LoadedEncoder, tiles: NDArray[np.uint8]) -> Features:
    """Encode tiles, and check what came out.

    Parameters
    ----------
    loaded
        The encoder.
    tiles
        (n, h, w, 3) RGB.

    Returns
    -------
    (n, dim) float16 or float32 array
        Other floats become float32. No tiles give (0, dim) float32 without asking the encoder.

    Raises
    ------
    SlideError
        ``bad_features``: another shape, no floats, or values that are not finite.
    """
    expected = (len(tiles), loaded.spec.feature_dim)
    if not len(tiles):
        return np.empty(expected, np.float32)
    features = _array(loaded.encoder.encode(tiles))
    if features.shape != expected:
        raise _bad(loaded, f"gave shape {features.shape} for {len(tiles)} tiles, not {expected}")
    if features.dtype not in KEPT_DTYPES:
        if features.dtype.kind != "f" and features.dtype.name != "bfloat16":
            raise _bad(loaded, f"gave {features.dtype} numbers; floats are needed")
        with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is named below
            features = features.astype(np.float32)
    finite = np.isfinite(features)
    if not finite.all():
        tile, feature = np.argwhere(~finite)[0].tolist()
        value = features[tile, feature]
        raise _bad(loaded, f"gave {value} as {_feature(loaded, feature)} of tile {tile} of a batch")
    return features


def _color_texture(options: Mapping[str, Any]) -> Encoder:
    if options:
        raise EncoderError(f"encoder {COLOR_TEXTURE} has no options, found {sorted(options)}")
    from slidearray.encoders.color_texture import ColorTexture  # OpenCV takes 0.1 s to load

    return ColorTexture()


def _described(
    encoder: Any, *, name: str, options: Mapping[str, Any], source: str | None
) -> LoadedEncoder:
    """Check an encoder's attributes, and note those that decide features."""
    own_name = getattr(encoder, "name", None)
    if not (isinstance(own_name, str) and own_name and own_name.isprintable()):
        raise _broken(name, "name", own_name, accepted="a text without control characters")
    dim = getattr(encoder, "dim", None)
    if not isinstance(dim, int) or isinstance(dim, bool) or dim < 1:
        raise _broken(name, "dim", dim, accepted="an integer of 1 or more")
    if not callable(getattr(encoder, "encode", None)):
        raise _broken(name, "encode", getattr(encoder, "encode", None), accepted="a method")
    version = getattr(encoder, "version", 1)
    if not isinstance(version, int) or isinstance(version, bool):
        raise _broken(name, "version", version, accepted="an integer")
    weights = getattr(encoder, "weights_sha256", None)
    if weights is not None and not (isinstance(weights, str) and SHA256.fullmatch(weights)):
        raise _broken(name, "weights_sha256", weights, accepted="64 lower-case hex digits")
    spec = EncoderSpec(
        name=own_name,
        options=dict(options),
        version=version,
        weights_sha256=weights,
        source_sha256=source,
        feature_dim=dim,
    )
    return LoadedEncoder(
        encoder=encoder, spec=spec, feature_names=_names(encoder, name=name, dim=dim)
    )


def _names(encoder: Any, *, name: str, dim: int) -> tuple[str, ...]:
    names = getattr(encoder, "feature_names", None)
    if names is None:
        return ()
    try:
        texts = tuple(names)
    except TypeError:
        texts = (None,)
    right = len(texts) == dim == len(set(texts)) and all(isinstance(text, str) for text in texts)
    if not right or isinstance(names, str):
        raise _broken(name, "feature_names", names, accepted=f"{dim} different texts")
    return texts


def _array(result: Any) -> NDArray[Any]:
    """The encoder's answer as an array; tensors that live on a device are brought here."""
    if hasattr(result, "detach"):  # torch, which is not imported for this
        result = result.detach().cpu()
        if "bfloat16" in str(result.dtype):  # NumPy has no such type
            result = result.float()
    return np.asarray(result)


def _feature(loaded: LoadedEncoder, index: int) -> str:
    names = loaded.feature_names
    return f"feature {index} ({names[index]})" if names else f"feature {index}"


def _broken(name: str, attribute: str, found: object, *, accepted: str) -> EncoderError:
    return EncoderError(
        f"encoder {name}: its {attribute} must be {accepted}, found {_short(found)}"
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def _bad(loaded: LoadedEncoder, what: str) -> SlideError:
    return SlideError(FailureClass.BAD_FEATURES, f"encoder {loaded.spec.name} {what}")
