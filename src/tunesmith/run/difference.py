"""Two runs side by side: what was different about them, and what came of it."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tunesmith.run.catalogue import Row, row
from tunesmith.run.leaves import leaves
from tunesmith.run.score_difference import ScoreDifference, score_difference
from tunesmith.run.stored_run import StoredRun

COSTS = ("seconds", "tokens_per_second", "peak_rss_mb", "peak_gpu_mb")


@dataclass(frozen=True, slots=True)
class Unlike:
    """One key with its values in A and in B; None where one of them lacks it."""

    key: str
    a: Any
    b: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRows:
    """The rows of one split: how many each run had, and whether they were the same. None is not known."""

    split: str
    a: int | None
    b: int | None
    same: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Run B beside run A."""

    a: Row
    b: Row
    scores: ScoreDifference
    config: tuple[Unlike, ...] | None
    """Keys that differ; None where a configuration is not known"""
    data: tuple[SplitRows, ...]
    same_backbone: bool | None
    """Whether the files of the backbone were the same"""
    environment: tuple[Unlike, ...] | None
    cost: tuple[Unlike, ...]

    def as_record(self) -> dict[str, Any]:
        """A JSON-ready object; its first key is the sentence."""
        scores = self.scores.as_record()
        return {
            "sentence": scores.pop("sentence"),
            "a": self.a.as_record(),
            "b": self.b.as_record(),
            "scores": scores,
            "config": _records(self.config),
            "data": [asdict(one) for one in self.data],
            "same_backbone": self.same_backbone,
            "environment": _records(self.environment),
            "cost": [asdict(one) for one in self.cost],
        }


def difference(a: StoredRun, b: StoredRun, *, split: str = "test") -> Difference:
    """Everything that two runs differ in, and their scores on the rows of `split` that both answered.

    Raises:
        DataError: stored answers that are damaged.
    """
    rows = row(a, str(a.folder.path)), row(b, str(b.folder.path))
    return Difference(
        a=rows[0],
        b=rows[1],
        scores=score_difference(a, b, split=split),
        config=_unlike(dict(leaves(a.config)), dict(leaves(b.config))) if a.config and b.config else None,
        data=tuple(_splits(a, b)),
        same_backbone=a.backbone_files == b.backbone_files if a.backbone_files and b.backbone_files else None,
        environment=_unlike(conditions(a), conditions(b)) if a.result and b.result else None,
        cost=(
            *(Unlike(name, getattr(rows[0], name), getattr(rows[1], name)) for name in COSTS),
            Unlike("trainable_parameters", _trainable(a), _trainable(b)),
        ),
    )


def conditions(run: StoredRun) -> dict[str, Any]:
    """Under what a run was made: machine, versions, and what the loop chose. Keys are dotted."""
    found = dict(leaves(run.result.environment)) if run.result else {}
    found.pop("peak_rss_mb", None)  # a cost
    started = run.newest.started if run.newest else None
    if started is not None:
        chosen = {"device": started.get("device"), "threads": started.get("threads")}
        precision = started.get("precision")
        found |= chosen | {"precision": precision.get("precision") if isinstance(precision, Mapping) else precision}
    return found


def _unlike(one: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[Unlike, ...]:
    pairs = ((key, one.get(key), other.get(key)) for key in dict.fromkeys((*one, *other)))
    return tuple(Unlike(key, mine, theirs) for key, mine, theirs in pairs if mine != theirs)


def _records(unlike: tuple[Unlike, ...] | None) -> list[dict[str, Any]] | None:
    return None if unlike is None else [asdict(one) for one in unlike]


def _splits(a: StoredRun, b: StoredRun) -> Iterator[SplitRows]:
    for name in ("train", "dev", "test"):
        ours, theirs = a.fact("fingerprint", name), b.fact("fingerprint", name)
        same = ours == theirs if ours is not None and theirs is not None else None
        yield SplitRows(split=name, a=a.fact("counts", name), b=b.fact("counts", name), same=same)


def _trainable(run: StoredRun) -> int | None:
    started = run.newest.started if run.newest else None
    found = started.get("trainable") if started else None
    return found if isinstance(found, int) else None
