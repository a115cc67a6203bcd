"""Tunesmith: from a file of labelled text to a model that is measured, served and kept honest.

    import tunesmith as ts

    run = ts.train("messages.jsonl", task="token_classification")
    model = ts.load(run.bundle)
    model.predict("Where is order BW-20417?")

The names below are imported when first used, so that `import tunesmith` costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunesmith.bundle.opening import load
    from tunesmith.run.api import Run, audit, evaluate, train
    from tunesmith.serve.running import serve

_HOMES = {
    "Run": "tunesmith.run.api",
    "audit": "tunesmith.run.api",
    "evaluate": "tunesmith.run.api",
    "load": "tunesmith.bundle.opening",
    "serve": "tunesmith.serve.running",
    "train": "tunesmith.run.api",
}
__all__ = ["Run", "audit", "evaluate", "load", "serve", "train"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in _HOMES:
        raise AttributeError(f"module 'tunesmith' has no attribute {name!r}; it has: {', '.join(__all__)}")
    import importlib

    return vars(importlib.import_module(_HOMES[name]))[name]


def __dir__() -> list[str]:
    return __all__
