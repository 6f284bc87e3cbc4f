"""Words of the command line that several commands share."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

ScenarioFile = Annotated[Path, typer.Argument(metavar="FILE", help="A scenario file.")]
OverrideWords = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="KEY=VALUE",
        help="Values that replace the file's, such as channel.carrier=5GHz.",
    ),
]


def command() -> str:
    """Return what the user typed."""
    return shlex.join(["cosim", *sys.argv[1:]])
