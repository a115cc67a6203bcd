"""From labelled messages to a model that finds entities: audit, train, judge, answer. Minutes on two cores."""

from pathlib import Path

import tunesmith as ts

SAMPLE = Path(__file__).parents[1] / "samples" / "support_en"


def main() -> None:
    """Walk the whole road and print what matters."""
    print(f"audit: {ts.audit(SAMPLE / 'train.jsonl').status}")
    run = ts.train(
        SAMPLE / "train.jsonl",
        task="token_classification",
        settings={
            "data": {"dev": str(SAMPLE / "dev.jsonl"), "test": str(SAMPLE / "test.jsonl")},
            "train": {"length": "12 epochs", "learning_rate": 3e-4},
        },
        progress=None,
    )
    test = run.report["splits"]["test"]
    print(f"span F1 {test['metrics']['span_f1']}")
    for name, baseline in test["baselines"].items():
        print(f"  beside {name}: {baseline}")
    model = ts.load(run.bundle)
    text = "Where is parcel TR-80011? It should have reached Leeds on Friday."
    answer = model.predict(text)
    for span in answer.predicted if isinstance(answer.predicted, tuple) else ():
        print(span if isinstance(span, str) else f"{text[span.start : span.end]!r} {span.label} {span.confidence:.2f}")


if __name__ == "__main__":
    main()
