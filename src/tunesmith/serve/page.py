"""The playground page, and what it asks the service about the model."""

import json
from functools import cache
from typing import Any, Final

from tunesmith.bundle.manifest import Manifest
from tunesmith.serve.models import Described
from tunesmith.serve.service import Service
from tunesmith.web.loading import asset, page


@cache
def playground() -> bytes:
    """One self-contained HTML page. It holds nothing about the model: that it asks for, with a key where one is set."""
    shared = {key: text for key, text in json.loads(asset("texts.json")).items() if key.startswith(("ui.", "task."))}
    texts = shared | json.loads(asset("playground.json"))
    return page("playground.html", {"texts": texts}, connect="'self'").encode("utf-8")


def about(service: Service) -> dict[str, Any]:
    """What `/v1/model` says: names, labels, a few texts to try, limits."""
    settings, loaded = service.settings, service.loaded
    shown = settings.examples if settings.examples is not None else not settings.insecure
    models = loaded.models if loaded else {}
    said = {name: _model(one, shown=shown) for name, one in models.items()}
    return {
        "name": service.name,
        "state": str(service.state),
        "version": loaded.version if loaded else None,
        "bundle_sha256": loaded.sha256 if loaded else None,
        **said.get("", _UNKNOWN),
        "reranker": _named(loaded.reranker) if loaded and loaded.reranker else None,
        "adapters": [
            {"name": name, "version": models[name].manifest.version} | said[name]
            for name in service.adapters
            if name in said
        ],
        "limits": {
            "items": settings.max_items,
            "characters": settings.max_characters,
            "request_characters": settings.max_request_characters,
            "body_bytes": settings.max_body_bytes,
        },
    }


_UNKNOWN: Final[dict[str, Any]] = {"task": None, "pairs": False, "labels": [], "examples": []}
"""Of a model that is not loaded yet, and of a bundle in which each of several says it for itself"""


def _named(manifest: Manifest) -> dict[str, str]:
    return {"name": manifest.name, "version": manifest.version, "bundle_sha256": manifest.sha256}


def _model(one: Described, *, shown: bool) -> dict[str, Any]:
    """What one model is and can say."""
    manifest = one.manifest
    return {
        "task": str(manifest.task["kind"]),
        "pairs": manifest.reads_pairs,
        "labels": list(manifest.labels),
        "examples": list(one.examples) if shown else [],
    }
