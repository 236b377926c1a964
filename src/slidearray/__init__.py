"""From a folder of whole-slide images to one verified feature store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slidearray.storage.store import FeatureStore

__version__ = "0.1.0"
__all__ = ["FeatureStore", "__version__"]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for, so that the worker starts light."""
    if name == "FeatureStore":
        from slidearray.storage.store import FeatureStore

        return FeatureStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
