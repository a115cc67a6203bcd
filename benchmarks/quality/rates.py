"""Is the learning rate that each method takes by itself a good one? Its score beside those of a grid around it.

    export TUNESMITH_DATA=... OMP_NUM_THREADS=2
    python -m benchmarks.quality.rates                          # all methods on both data sets, 40 minutes on two cores
    python -m benchmarks.quality.rates --methods lora ia3 --seeds 0 1 2   # some of them, over seeds
    python -m benchmarks.quality.rates --methods "lora all-linear"        # a form of a method with a rate of its own
    python -m benchmarks.quality.rates --table                  # the newest rows again

Each run is one process: a part of the training rows, a few epochs, the method's defaults but for the rate, which is its
own times each factor. Scored is the best epoch on dev, which is where a person would choose a rate, and the mean of it
over the seeds that a rate was tried with. A method passes where its own rate lies at most 0.02 below the best of its
grid; rates that were tried with fewer seeds than the own one are shown and not judged.
"""

import statistics

from benchmarks.driver import Driver, data_folder

FACTORS = (1 / 3, 1.0, 3.0)
FORMS = {"lora all-linear": {"kind": "lora", "targets": ["all-linear"]}}
"""What is tried beside the defaults of every kind"""
NEAR = 0.02
DATA = {
    "conll2003": {
        "data": {"train": "conll2003/eng.train", "dev": "conll2003/eng.testa", "test": "conll2003/eng.testb"},
        "task": {"kind": "token_classification"},
        "train": {"length": "3 epochs"},
        "limit": 1500,
    },
    "banking77": {
        "data": {"train": "banking77/train.csv", "test": "banking77/test.csv", "split": {"dev": 0.15}},
        "task": {"kind": "text_classification"},
        "train": {"length": "4 epochs"},
        "limit": 1500,
    },
}


def cases(options):
    """Every method on every data set at every multiple of its own rate."""
    from tunesmith.core.rooms import METHODS

    for seed in options.seeds:
        for method in options.methods or (*METHODS.kinds, *FORMS):
            for name in options.data:
                for factor in options.factors:
                    yield {"data": name, "method": method, "factor": round(factor, 4), "seed": seed}


def measure(case):
    """Train once; the score of the best epoch on dev."""
    from tunesmith.run.config import parsed
    from tunesmith.run.dev_score import dev_score
    from tunesmith.run.lessons import settings_of, training_data, tuned_model
    from tunesmith.run.prepared import prepared
    from tunesmith.tune.events import Stopped
    from tunesmith.tune.fit import Objective, fit

    made = dict(DATA[case["data"]])
    limit = made.pop("limit")
    made = made | {"seed": case["seed"], "method": form(case["method"]), "data": made["data"] | {"limit": limit}}
    config = parsed(made, folder=data_folder())
    ready = prepared(config)
    settings = settings_of(ready)
    settings = settings.model_copy(update={"learning_rate": settings.learning_rate * case["factor"]})
    model = tuned_model(ready)
    objective = Objective(model, ready.task, config.regularizers, config.method.guide(model))
    evaluate = dev_score(ready, lambda: None)
    *_, last = fit(objective, training_data(ready), settings=settings, evaluate=evaluate)
    assert isinstance(last, Stopped)
    return {
        "rate": settings.learning_rate,
        "metric": ready.task.main_metric,
        "score": round(last.best_score, 4),
        "trained": sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        "seconds": round(last.seconds, 1),
    }


def table(rows):
    """A line for each method and data set: scores at all rates tried, and how far below the best the own one lies."""
    from tunesmith.core.rooms import METHODS

    lines = [
        "| data | method | own rate | score at it | all rates (seeds) | below the best |",
        "|---|---|---|---|---|---|",
    ]
    newest = {(row["data"], row["method"], f"{row['rate']:.1e}", row["seed"]): row["score"] for row in rows}
    below = []
    for data in DATA:
        for method in (*METHODS.kinds, *FORMS):
            own = f"{METHODS.make(form(method), key='method').learning_rate:.1e}"
            scores = {}
            for (where, kind, rate, _), score in newest.items():
                if (where, kind) == (data, method):
                    scores.setdefault(rate, []).append(score)
            if own not in scores:
                continue
            tried = {rate: statistics.mean(found) for rate, found in scores.items()}
            judged = [tried[rate] for rate in tried if len(scores[rate]) >= len(scores[own])]
            below.append(max(judged) - tried[own])
            grid = ", ".join(f"{rate}: {tried[rate]:.3f} ({len(scores[rate])})" for rate in sorted(tried, key=float))
            lines.append(f"| {data} | {method} | {own} | {tried[own]:.3f} | {grid} | {below[-1]:.3f} |")
    near = sum(gap <= NEAR for gap in below)
    lines.append(f"\n{near} of {len(below)} at most {NEAR} below the best rate tried")
    return "\n".join(lines)


def form(method):
    """What a configuration says of a method."""
    return FORMS.get(method, method)


def line(row):
    told = f"{row['data']} {row['method']} {row['rate']:.1e}, seed {row['seed']}"
    return f"{told}: {row['score']:.3f} in {row['seconds']:.0f} s"


def flags(parser):
    parser.add_argument("--methods", nargs="+", help="kinds, or forms of them; all where absent")
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--factors", nargs="+", type=float, default=list(FACTORS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])


DRIVER = Driver(
    file=__file__,
    about=__doc__,
    cases=cases,
    measure=measure,
    line=line,
    table=table,
    flags=flags,
)

if __name__ == "__main__":
    DRIVER.main()
