"""`tunesmith train` on a tiny checkpoint and the English sample, in this process, as a figure's child calls it."""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from reliability.tiny_checkpoint import write_checkpoint
from tunesmith.cli import main as door
from tunesmith.run.journal import events

SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "support_en" / "train.jsonl"


@dataclass(frozen=True)
class Command:
    """One configuration: 60 steps with a state every seventh."""

    folder: Path

    def __post_init__(self) -> None:
        checkpoint = write_checkpoint(self.folder / "checkpoint")
        self.config.write_text(
            f'backbone = "{checkpoint}"\n[data]\ntrain = "{SAMPLE}"\n[task]\nkind = "text_classification"\n'
            '[train]\nlength = "60 steps"\nprecision = "fp32"\nthreads = 1\nsave_every = "7 steps"\n',
            encoding="utf-8",
        )

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "run.toml"

    def words(self, run: Path, *more: str) -> list[str]:
        """The command line, without the program."""
        return ["train", str(self.config), "--out", str(run), *more]

    def train(self, run: Path, *more: str) -> None:
        """Call the command line; it ends the process as it ends a person's."""
        sys.argv = ["tunesmith", *self.words(run, *more)]
        door.main()

    @staticmethod
    def steps(run: Path) -> int:
        """Steps that the journal of a run holds."""
        journal = run / "journal.jsonl"
        return journal.read_text(encoding="utf-8").count('"event": "step"') if journal.exists() else 0


def difference_of_runs(one: Path, other: Path) -> str | None:
    """Where two complete runs differ; None where weights, answers and losses are bitwise equal."""
    for name in ("bundle/model.safetensors", "predictions.dev.jsonl", "predictions.test.jsonl"):
        if _digest(one / name) != _digest(other / name):
            return f"{name} differs"
    if _losses(one) != _losses(other):
        return "the losses in journal.jsonl differ"
    return None


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _losses(run: Path) -> list[tuple[int, float, float]]:
    steps = [event for event in events(run / "journal.jsonl") if event["event"] == "step"]
    return [(event["step"], event["loss"], event["gradient_norm"]) for event in steps]
