"""How qsub takes the directives of a script apart, as OpenPBS's source has it."""

from __future__ import annotations

import getopt

#: openpbs, src/cmds/qsub_sup.c, GETOPT_ARGS.
OPTIONS = "a:A:c:C:e:fhIj:J:k:l:m:M:N:o:p:q:r:R:S:u:v:VW:XzP:"


def qsub_reads(script: str) -> list[tuple[str, str]]:
    """Options of the lines before the first command, with their values (src/cmds/qsub_sup.c)."""
    found: list[tuple[str, str]] = []
    for line in script.splitlines():
        text = line.lstrip()
        if text.startswith("#PBS"):
            assert not text.endswith("\\")  # the next line would belong to it
            options, rest = getopt.getopt(_words(text.removeprefix("#PBS")), OPTIONS)
            assert not rest
            found += options
        elif text and not line.startswith(":") and not text.startswith("#"):
            break
    return found


def _words(line: str) -> list[str]:
    """Arguments of a directive (src/cmds/qsub.c, make_argv)."""
    words, word, characters = [], None, iter(line)
    for char in characters:
        if char in "\"'":
            word = (word or "") + _quoted(characters, char)
        elif char == "\\":
            word = (word or "") + next(characters)
        elif char.isspace():
            words += [] if word is None else [word]
            word = None
        else:
            word = (word or "") + char
    return words if word is None else [*words, word]


def _quoted(characters: object, quote: str) -> str:
    text = ""
    for char in characters:  # type: ignore[attr-defined]
        if char == quote:
            return text
        text += char
    raise AssertionError(f"unmatched {quote}")


def resources(options: list[tuple[str, str]]) -> list[str]:
    """What the ``-l`` of a script ask for, one ``name=value`` each (lib/Libcmds/set_resource.c)."""
    return [each for name, value in options if name == "-l" for each in value.split(",")]
