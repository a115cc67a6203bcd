"""The Python door: the same road as the command line, for notebooks and scripts."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tunesmith.bundle.reranking import CANDIDATES, Stages
from tunesmith.core.errors import UsageError
from tunesmith.judge.scoring import Scores
from tunesmith.prepare.audit import AuditReport
from tunesmith.run.audited import audited_source
from tunesmith.run.config import RunConfig, overlaid, parsed, read_table
from tunesmith.run.evaluate import evaluated
from tunesmith.run.events import Interrupted, Noted, Phase, RunEvent
from tunesmith.run.folder import RunFolder, opened, read_json
from tunesmith.run.stopping import stop_wishes
from tunesmith.run.train import run
from tunesmith.tune.events import Evaluated


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run: its folder, its report, and the bundle to serve."""

    folder: Path

    @property
    def report(self) -> dict[str, Any]:
        """What `report.json` holds: splits with metrics, intervals and baselines, cost, environment, data."""
        return read_json(RunFolder(self.folder).report)

    @property
    def bundle(self) -> Path:
        """The folder to give to `tunesmith.load` or `tunesmith serve`."""
        return RunFolder(self.folder).bundle

    @property
    def page(self) -> Path:
        """The report as one self-contained HTML page."""
        return RunFolder(self.folder).page

    def __repr__(self) -> str:
        """The headline and where the run lies."""
        return f"<Run {self.folder}: {self.report['headline']}>"

    def _repr_html_(self) -> str:
        """The report inside a notebook."""
        page = self.page.read_text(encoding="utf-8").replace("&", "&amp;").replace('"', "&quot;")
        return f'<iframe srcdoc="{page}" width="100%" height="640" style="border:0" title="report"></iframe>'


def train(
    source: str | Path,
    *,
    task: str | None = None,
    backbone: str | None = None,
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    progress: TextIO | None = sys.stderr,
) -> Run:
    """Train, judge and bundle a model from a data file, or from a TOML configuration.

    Args:
        source: a data file in any format that `tunesmith init` recognises, or a `.toml` configuration.
        task: what the rows are for, a kind of task such as `text_classification`; read off the data where absent.
        backbone: a starter, a folder or a Hub name; `starter:english` where absent.
        out: the run folder; a fresh one under `runs/` where absent.
        settings: further configuration as nested tables, e.g. `{"train": {"length": "5 epochs"}}`.
        resume: go on with the stopped run in `out`.
        progress: where lines of progress go; None is silent.

    Raises:
        TunesmithError: with place and remedy; the exit code and the stable code are its attributes.
        KeyboardInterrupt: after the state was saved; the same call with `out` and `resume=True` goes on.
    """
    if resume and out is None:
        raise UsageError("which run is to go on?", code="TS-RUN-017", fix="name its folder: out=..., resume=True.")
    config = _config(Path(source), task=task, backbone=backbone, settings=settings or {})
    target = Path(out) if out else _fresh(Path("runs"), Path(source).stem)
    folder = opened(target, resume=resume)
    origins = dict.fromkeys(config.as_table(), "python")
    with stop_wishes() as wish:
        for event in run(config, folder, origins=origins, resume=resume, should_stop=wish):
            if isinstance(event, Interrupted):
                raise KeyboardInterrupt(f"saved at step {event.step} in {event.folder}")
            if progress is not None:
                _tell(event, progress)
    return Run(folder.path)


def audit(source: str | Path) -> AuditReport:
    """What is wrong with a data file, a folder of splits, or the data of a configuration."""
    return audited_source(Path(source))


def evaluate(
    bundle: str | Path,
    data: str | Path,
    *,
    adapter: str | None = None,
    reranker: str | Path | None = None,
    candidates: int = CANDIDATES,
    relevant: str | None = None,
) -> Scores:
    """Score a bundle on a labelled file, with intervals; `adapter` names the model where a bundle holds several.

    A search is scored as a re-ranker orders it, where one is given; `load` says what it takes.
    """
    ordered = Path(reranker) if reranker is not None else None
    stages = Stages(reranker=ordered, candidates=candidates, relevant=relevant)
    return evaluated(Path(bundle), Path(data), adapter=adapter, stages=stages).scores


def _config(source: Path, *, task: str | None, backbone: str | None, settings: Mapping[str, Any]) -> RunConfig:
    is_config = source.suffix == ".toml"
    table = read_table(source) if is_config else {"data": {"train": str(source.resolve())}}
    chosen = ({"task": {"kind": task}} if task else {}) | ({"backbone": backbone} if backbone else {})
    folder = source.parent if is_config else Path()
    return parsed(overlaid(overlaid(table, settings), chosen), folder=folder.resolve())


def _fresh(parent: Path, name: str) -> Path:
    """`parent/name`, or the first `parent/name-2`, `-3`, ... that is not there yet."""
    taken = parent / name
    number = 2
    while taken.exists():
        taken = parent / f"{name}-{number}"
        number += 1
    return taken


def _tell(event: RunEvent, out: TextIO) -> None:
    match event:
        case Phase():
            out.write(f"{event.name} {event.detail}\n")
        case Noted():
            out.write(f"  {event.text}\n")
        case Evaluated():
            out.write(f"  epoch {event.epoch:.2f}  dev {event.score:.4f}{'  best' if event.best else ''}\n")
        case _:
            return
    out.flush()
