"""What a person types to a PBS, and what it answers."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

Answer = dict[str, dict[str, Any]]


def run(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, argv)), capture_output=True, text=True, check=False)


def script(text: str, name: str = "j.sh") -> Path:
    path = Path(name)
    path.write_text(f"#!/bin/bash\n{text}\n")
    return path


def submitted(*argv: str | Path) -> str:
    """The id, without server, of a job that was accepted."""
    done = run("qsub", *argv)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.removesuffix(".pbshost\n")


def asked(job_id: str, *options: str) -> Answer:
    done = run("qstat", "-x", "-t", "-f", "-F", "json", *options, job_id)
    found: Answer = json.loads(done.stdout).get("Jobs", {})
    return found
