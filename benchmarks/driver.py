"""What the drivers of this folder share: flags, a process for each case, rows that are kept as they come, a table.

A case is a JSON object that says which row is wanted; its keys stand in the row.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import machine, rounds

Row = dict[str, Any]


def _no_flags(parser: argparse.ArgumentParser) -> None:
    """A driver without choices."""


@dataclass(frozen=True, kw_only=True)
class Driver:
    """One script: its cases, how one is measured, and how rows are told."""

    file: str
    """`__file__` of the script; rows are appended beside it"""
    about: str
    """What `--help` says"""
    cases: Callable[[argparse.Namespace], Iterable[Row]]
    measure: Callable[[Row], Row]
    """What a case gives, in a process of its own"""
    line: Callable[[Row], str]
    """A row in a few words, as it comes"""
    table: Callable[[list[Row]], str]
    flags: Callable[[argparse.ArgumentParser], None] = _no_flags
    reads_data: bool = True
    """Whether it wants the data sets"""

    @property
    def log(self) -> Path:
        """Where rows are appended."""
        return Path(self.file).with_suffix(".jsonl")

    @property
    def module(self) -> str:
        """The script as `python -m` takes it."""
        return ".".join(Path(self.file).resolve().relative_to(rounds.ROOT).with_suffix("").parts)

    def main(self) -> None:
        """The command line."""
        parser = argparse.ArgumentParser(description=self.about, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.flags(parser)
        parser.add_argument("--missing", action="store_true", help="only cases that have no row yet")
        parser.add_argument("--table", action="store_true", help="print the newest rows again")
        parser.add_argument("--out", type=Path, default=self.log, help="where rows are appended")
        parser.add_argument("--one", help=argparse.SUPPRESS)
        options = parser.parse_args()
        if options.one:
            rounds.hand_over(self.measure(json.loads(options.one)) | machine.facts())
            return
        if not options.table:
            self._measured(options)
        print(self.table(rounds.read(options.out)))

    def _measured(self, options: argparse.Namespace) -> None:
        if self.reads_data and "TUNESMITH_DATA" not in os.environ:
            sys.exit("name the folder of the data sets with TUNESMITH_DATA")
        run, known = time.strftime("%Y-%m-%dT%H:%M:%S"), rounds.read(options.out)
        for case in self.cases(options):
            if options.missing and any(case.items() <= row.items() for row in known):
                continue
            row = {"run": run} | case | rounds.child([self.module, "--one", json.dumps(case)])
            rounds.append(options.out, row)
            print(self.line(row), flush=True)


def data_folder() -> Path:
    """Where the data sets lie; ends the program where nobody says it."""
    if "TUNESMITH_DATA" not in os.environ:
        sys.exit("name the folder of the data sets with TUNESMITH_DATA")
    return Path(os.environ["TUNESMITH_DATA"])
