"""The same file, another task: intents instead of entities, a frozen backbone against full tuning on the same rows."""

from pathlib import Path

import tunesmith as ts

SAMPLE = Path(__file__).parents[1] / "samples" / "support_en"
DATA = {"dev": str(SAMPLE / "dev.jsonl"), "test": str(SAMPLE / "test.jsonl")}
METHODS = {
    "head_only": {"length": "30 epochs"},
    "full": {"length": "8 epochs", "learning_rate": 3e-4},
}


def main() -> None:
    """Train each method once and print test accuracy with its interval."""
    for method, train in METHODS.items():
        run = ts.train(
            SAMPLE / "train.jsonl",
            task="text_classification",
            settings={"data": DATA, "method": method, "train": train},
            out=Path("runs") / f"intents-{method}",
            progress=None,
        )
        accuracy = run.report["splits"]["test"]["metrics"]["accuracy"]
        print(f"{method:<10} {accuracy['value']:.3f} [{accuracy['low']:.3f}, {accuracy['high']:.3f}]")


if __name__ == "__main__":
    main()
