"""The command line."""

from cosim.cli.app import main

__all__ = ["main"]
