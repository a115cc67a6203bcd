"""The playground page, and what it asks the service about the model."""

import json
from functools import cache
from typing import Any

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
    manifest = loaded.manifest if loaded else None
    shown = settings.examples if settings.examples is not None else not settings.insecure
    return {
        "name": service.name,
        "state": str(service.state),
        "version": manifest.version if manifest else None,
        "bundle_sha256": manifest.sha256 if manifest else None,
        "task": str(manifest.task["kind"]) if manifest else None,
        "pairs": manifest.reads_pairs if manifest else False,
        "labels": list(manifest.labels) if manifest else [],
        "examples": list(loaded.examples) if loaded and shown else [],
        "limits": {
            "items": settings.max_items,
            "characters": settings.max_characters,
            "request_characters": settings.max_request_characters,
            "body_bytes": settings.max_body_bytes,
        },
    }
