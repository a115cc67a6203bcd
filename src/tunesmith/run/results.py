"""From stored answers to a report, and from a model to its bundle, with where both came from."""

from collections.abc import Mapping
from typing import Any

from tunesmith.bundle.collection import Collection
from tunesmith.bundle.manifest import BaseRecord
from tunesmith.bundle.write import Origin, problem_of, write_bundle
from tunesmith.core.model import Model
from tunesmith.core.task import Task
from tunesmith.judge.baselines import baselines
from tunesmith.judge.page import write_page
from tunesmith.judge.report import RunFacts, build_report, judge_split
from tunesmith.judge.stored import read_predictions
from tunesmith.methods._peft_files import in_peft_files, write_adapter
from tunesmith.run.candidate_pairs import write_pairs
from tunesmith.run.environment import environment, peak_gpu_memory
from tunesmith.run.folder import RunFolder, write_json
from tunesmith.run.journal import events
from tunesmith.run.prepared import Prepared

JUDGED = ("dev", "test")
UNTUNED = "untuned"
"""Answers on test of a model that writes, before it learnt"""


def write_inputs(folder: RunFolder, ready: Prepared, origins: Mapping[str, str]) -> None:
    """Write down what the run is made of: configuration with origins, split, audit."""
    record = {"config": ready.config.as_table(), "origins": dict(origins), "backbone": ready.checkpoint.fingerprint}
    write_json(folder.config, record)
    write_json(folder.split, ready.data.record)
    if ready.config.data.mined:
        write_pairs(folder, ready.data)
    write_json(folder.audit, ready.audit.as_record())


def judged(folder: RunFolder, ready: Prepared, task: Task) -> dict[str, Any]:
    """The report of a run from its stored predictions, written as JSON and as a page."""
    asked = {name: ready.asked(name) for name in ready.data.splits()}
    rows = {name: asked[name] for name in JUDGED if asked[name]}
    flat = [example for examples in rows.values() for example in examples]
    rivals = baselines(task.kind(), asked["train"], flat, documents=ready.documents)
    splits = {}
    start = 0
    for name in rows:
        end = start + len(rows[name])
        beside = {rival: answers[start:end] for rival, answers in rivals.items()}
        if name == "test" and folder.predictions(UNTUNED).exists():
            beside["untuned"] = list(read_predictions(folder.predictions(UNTUNED)))
        splits[name] = judge_split(
            read_predictions(folder.predictions(name)),
            beside,
            kind=task.kind(),
            main=task.main_metric,
            seed=ready.config.seed,
        )
        start = end
    facts = RunFacts(
        task=task.kind(),
        name=folder.path.name,
        cost=_cost(folder),
        environment=environment(),
        data=ready.data.record | {"notes": list(ready.notes)},
        config=ready.config.result_table() | {"task": task.as_table()},
    )
    report = build_report(splits, facts)
    write_json(folder.report, report)
    write_page(
        report,
        folder.predictions("test"),
        folder.journal,
        folder.page,
        audit=ready.audit.as_record(),
    )
    return report


def bundled(
    folder: RunFolder,
    ready: Prepared,
    model: Model,
    *,
    task: Task,
    report: Mapping[str, Any],
    collection: Collection | None = None,
) -> None:
    """Write the bundle. `model` is merged: it holds plain modules only."""
    base = BaseRecord(
        name=ready.checkpoint.name, fingerprint=ready.checkpoint.fingerprint, licence=ready.checkpoint.licence
    )
    kept = ready.data.dev or ready.data.train or ready.data.test
    if collection:
        kept = tuple(ready.asked("dev"))
    origin = Origin(
        name=folder.path.name,
        base=base,
        data_fingerprint=ready.data.record["fingerprint"]["train"],
        golden_examples=kept,
        reference_examples=kept,
        evaluation=report["splits"],
        provenance={"config": report["config"], "environment": report["environment"], "cost": report["cost"]},
    )
    tokenizer = ready.tokenizer
    write_bundle(folder.bundle, model=model, task=task, tokenizer=tokenizer, origin=origin, collection=collection)


def write_adapter_of(ready: Prepared, model: Model, folder: RunFolder) -> None:
    """Beside the bundle, what was added to the backbone in the files of peft, for a method that has such a form."""
    problem = problem_of(ready.task)
    if in_peft_files(model, problem):
        # a name that peft could not resolve, unless there is no place where the backbone lies with its adapters
        starter = ready.checkpoint.name.startswith("starter:") and not ready.config.adapters
        base = str(ready.checkpoint.folder) if starter else ready.checkpoint.name
        write_adapter(model, folder.adapter, base=base, problem=problem, fingerprint=ready.checkpoint.fingerprint)


def _cost(folder: RunFolder) -> dict[str, Any]:
    """What the run took, from its journals."""
    journals = [journal for journal in (folder.silver.journal, folder.journal) if journal.exists()]
    seen = [list(events(journal)) for journal in journals]
    started = [event for event in seen[-1] if event["event"] == "started"][-1]
    stopped = [[event for event in lesson if event["event"] == "stopped"][-1] for lesson in seen]
    seconds, tokens, steps = (sum(event[key] for event in stopped) for key in ("seconds", "tokens", "step"))
    pieces = [event["pieces"] for lesson in seen for event in lesson if event["event"] == "halved"]
    return {
        "seconds": round(seconds, 3),
        "tokens": tokens,
        "tokens_per_second": round(tokens / max(seconds, 1e-9), 1),
        "steps": steps,
        "peak_rss_mb": environment()["peak_rss_mb"],
        **({"peak_gpu_mb": round(gpu / 1e6, 1)} if (gpu := peak_gpu_memory()) else {}),
        "trainable_parameters": started["trainable"],
        "frozen_parameters": started["frozen"],
        "precision": started["precision"],
        "threads": started["threads"],
        "batch_pieces": max(pieces, default=1),
        "device": started["device"],
    }
