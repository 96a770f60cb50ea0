"""What the programs in this folder have in common."""

from __future__ import annotations

import argparse


def parser_of(program: str, description: str | None) -> argparse.ArgumentParser:
    """A parser of the arguments of `python -m PROGRAM`, whose help shows the description as it is."""
    return argparse.ArgumentParser(
        prog=f"python -m {program}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
