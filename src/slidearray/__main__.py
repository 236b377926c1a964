"""`python -m slidearray`: what job scripts call."""

from __future__ import annotations

import sys

from slidearray.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
