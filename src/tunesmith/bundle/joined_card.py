"""The card of a bundle of several models: what each answers and how well, from their own manifests alone."""

from collections.abc import Mapping

from tunesmith.bundle.card import answers_of, evaluation_of, plain
from tunesmith.bundle.joined_manifest import JoinedManifest
from tunesmith.bundle.manifest import Manifest


def joined_card(manifest: JoinedManifest, origins: Mapping[str, Manifest]) -> str:
    """`README.md`, in Markdown with the front matter that model hubs read."""
    base = manifest.base
    licence = base.licence or "unknown"
    return "\n".join(
        (
            "---",
            "library_name: tunesmith",
            "---",
            "",
            f"# {plain(manifest.name)}",
            "",
            f"{len(origins)} models over one backbone, made by tunesmith {manifest.tunesmith}.",
            "",
            f"The backbone, {plain(base.name)} (licence: {licence}), is as it was pretrained. What each model learnt",
            "lies in a folder of its own, which tunesmith alone reads.",
            "",
            *(line for name, origin in origins.items() for line in _model(name, origin)),
            "## How to use it",
            "",
            "```bash",
            "tunesmith verify BUNDLE            # every byte, and the golden rows of each model recomputed",
            f"printf 'Some text\\n' | tunesmith predict BUNDLE - --adapter {manifest.adapters[0]}",
            "tunesmith serve BUNDLE             # one service: each request names who answers",
            "```",
            "",
        )
    )


def _model(name: str, origin: Manifest) -> list[str]:
    """What one model is."""
    return [
        f"## {name}",
        "",
        f"A `{origin.task['kind']}` model, `{plain(origin.name)}` {origin.version}. {answers_of(origin)[0]}",
        "",
        *evaluation_of(origin.evaluation),
        "",
        f"Licence of the training data: {origin.licence or 'unknown'}. Fingerprint: `{origin.data_fingerprint}`.",
        "",
    ]
