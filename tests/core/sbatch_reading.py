"""How sbatch takes a directive apart, as its source has it; tests/slurm asks a real one."""

from __future__ import annotations


def sbatch_reads(line: str) -> str:
    """One argument of a directive, as sbatch's parser takes it (slurm, src/sbatch/opt.c)."""
    for word in ("hetjob", "packjob"):  # wiped once, whatever their case, before anything else
        if (place := line.lower().find(word)) >= 0:
            line = line[:place] + " " * len(word) + line[place + len(word) :]
    argument, quote, escaped = "", "", False
    for char in line:
        if escaped:
            argument, escaped = argument + char, False
        elif char == "\\":
            escaped = True
        elif quote:
            quote, argument = ("", argument) if char == quote else (quote, argument + char)
        elif char in "\"'":
            quote = char
        elif char == "#" or char.isspace():
            break
        else:
            argument += char
    assert not quote
    return argument
