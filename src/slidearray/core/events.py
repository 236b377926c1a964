"""Events: the lines of records and journals."""

from __future__ import annotations

from typing import Any

#: One event: its name under ``event``, when it was written under ``time``, and its own fields.
Event = dict[str, Any]
