"""The model card, written from evidence alone: what nobody stated is "unknown", never guessed."""

import json
from collections.abc import Mapping
from typing import Any

from tunesmith.bundle.manifest import Manifest


def card(manifest: Manifest) -> str:
    """`README.md` of a bundle, in Markdown with the front matter that model hubs read."""
    return "\n".join(
        (
            *_front_matter(manifest),
            f"# {plain(manifest.name)}",
            "",
            f"A `{manifest.task['kind']}` model made by tunesmith {manifest.tunesmith}.",
            *_additions(manifest),
            "",
            "## What it answers",
            "",
            *answers_of(manifest),
            "",
            "## How good it is",
            "",
            *evaluation_of(manifest.evaluation),
            "",
            "## Where it comes from",
            "",
            f"- Base model: {plain(manifest.base.name)} (licence: {manifest.base.licence or 'unknown'})",
            f"- Licence of the training data: {manifest.licence or 'unknown'}",
            f"- Fingerprint of the training data: `{manifest.data_fingerprint}`",
            *(f"- {plain(name)}: `{_short(value)}`" for name, value in manifest.provenance.items()),
            "",
            "## How to use it",
            "",
            "```bash",
            "tunesmith verify BUNDLE            # every byte, and the golden rows recomputed",
            f"printf '{_asked(manifest)}' | tunesmith predict BUNDLE -",
            "tunesmith serve BUNDLE             # HTTP service and playground",
            "```",
            "",
            f"Windows of {manifest.tokenizer.max_length} tokens; a longer text is read in several that overlap.",
            "Not evaluated here: other domains, other languages, and text made to deceive the model.",
            "",
        )
    )


def _front_matter(manifest: Manifest) -> list[str]:
    pipelines = {
        "token_classification": "token-classification",
        "extractive_qa": "question-answering",
        "retrieval": "sentence-similarity",
        "generation": "text-generation",
    }
    pipeline = pipelines.get(str(manifest.task["kind"]), "text-classification")
    lines = ["---", "library_name: tunesmith", f"pipeline_tag: {pipeline}"]
    if manifest.licence:
        lines.append(f"license: {json.dumps(manifest.licence)}")
    return [*lines, "---", ""]


def _asked(manifest: Manifest) -> str:
    """A line as plain input has it."""
    seconds = {"extractive_qa": "\\tSome question?", "pair_matching": "\\tanother text"}
    return f"Some text{seconds.get(str(manifest.task['kind']), '')}\\n"


def _additions(manifest: Manifest) -> list[str]:
    if not manifest.additions:
        return []
    kinds = ", ".join(f"`{name}`" for name in manifest.additions)
    said = f"The backbone is as it was pretrained; what was learnt stands around its layers ({kinds}). Only tunesmith"
    return ["", f"{said} opens it: a library that read the backbone alone would answer at random."]


def answers_of(manifest: Manifest) -> list[str]:
    """One sentence: what an answer is."""
    if manifest.documents:
        return [f"A question with the nearest of {manifest.documents:,} documents (`documents.jsonl`), by the cosine."]
    if manifest.task["kind"] == "extractive_qa":
        none = ", or null where the text holds no answer" if manifest.task.get("no_answer") else ""
        return [f"A question about a text, with the stretch of the text that answers it{none}."]
    if manifest.task["kind"] == "generation":
        return ["An answer that is written token by token. It may be wrong, and may state what was never said."]
    if manifest.task["kind"] == "joint_classification":
        found = ", ".join(f"`{plain(label)}`" for label in manifest.task["entity_labels"])
        said = ", ".join(f"`{plain(label)}`" for label in manifest.task["labels"])
        return [f"One label of a text, of: {said}.", "", f"The entities in it, of: {found}."]
    if not manifest.labels:
        return [f"A score for a {'text' if manifest.task['kind'] == 'text_regression' else 'pair of texts'}."]
    shown = ", ".join(f"`{plain(label)}`" for label in manifest.labels[:100])
    more = f" and {len(manifest.labels) - 100} more" if len(manifest.labels) > 100 else ""
    if manifest.task["kind"] == "hierarchical_classification":
        stops = "A label with those above it, each with its probability; it may stop above the last step."
        return [f"{stops} {len(manifest.labels)} labels: {shown}{more}."]
    return [f"{len(manifest.labels)} classes: {shown}{more}."]


def evaluation_of(splits: Mapping[str, Any]) -> list[str]:
    """A table a split: metric, value, interval, and the best baseline on the same rows."""
    lines: list[str] = []
    for name, split in splits.items():
        metrics = split.get("metrics", {}) if isinstance(split, dict) else {}
        if not metrics:
            continue
        lines += [f"On {split.get('n', 'unknown')} rows of `{plain(name)}`:", ""]
        lines += ["| metric | value | interval | best baseline |", "|---|---|---|---|"]
        for metric, entry in metrics.items():
            lines.append(_metric(metric, entry, split.get("baselines", {})))
        lines.append("")
    return lines[:-1] if lines else ["Not evaluated."]


def _metric(name: str, entry: object, baselines: Mapping[str, Any]) -> str:
    value = entry.get("value") if isinstance(entry, dict) else entry
    low, high = (entry.get("low"), entry.get("high")) if isinstance(entry, dict) else (None, None)
    interval = f"{_number(low)} to {_number(high)}" if low is not None and high is not None else "not computed"
    found = [(score, kind) for kind, row in baselines.items() if (score := _baseline(row, name)) is not None]
    best = f"{_number(max(found)[0])} ({plain(max(found)[1])})" if found else "none"
    return f"| {plain(name)} | {_number(value)} | {interval} | {best} |"


def _baseline(row: object, metric: str) -> float | None:
    entry = row.get("metrics", row).get(metric) if isinstance(row, dict) else None
    value = entry.get("value") if isinstance(entry, dict) else entry
    return float(value) if isinstance(value, int | float) else None


def _number(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else "unknown"


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return plain(text if len(text) <= 200 else f"{text[:200]}...")


def plain(text: str) -> str:
    """One line without what Markdown tables and code spans would trip over."""
    return " ".join(text.replace("|", "/").replace("`", "'").split())
