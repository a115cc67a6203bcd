"""Where the time of a training step goes, by purpose and by operation; the output is kept in `profile.md`.

    export TUNESMITH_DATA=... OMP_NUM_THREADS=2
    python -m benchmarks.training.profile > benchmarks/training/profile.md

Steps of conll2003 with the recipe of `recipe.py`, seen by torch's profiler, which makes small operations look dearer
than they are. Times are those of the operations themselves, without what they call.
"""

import argparse
from collections import Counter

from benchmarks import machine
from benchmarks.training import ours
from benchmarks.training import rows as data_rows
from torch.profiler import ProfilerActivity, profile

from tunesmith.tune.events import Stepped

CASES = {
    "full fine-tuning, bf16": {"precision": "bf16"},
    "full fine-tuning, fp32": {"precision": "fp32"},
    "LoRA, bf16": {"precision": "bf16", "method": "lora"},
}
PURPOSES = {
    "matrix products of linear layers": ("aten::mm", "aten::addmm"),
    "attention core": ("aten::bmm", "aten::baddbmm", "aten::_softmax", "_Short", "aten::_scaled_dot"),
    "activations and norms of layers": ("aten::gelu", "aten::native_layer_norm"),
    "dropout": ("aten::random_", "_ByteDropout", "aten::ge", "aten::mul"),
    "update and gradient norm": ("aten::_fused_adamw", "aten::linalg_vector_norm", "aten::_foreach"),
    "copies between types and layouts": ("aten::copy_", "aten::cat", "aten::index", "_ToRows", "_ToChunks"),
}
"""By how an operation's name begins; the first that fits counts"""
REST = "bookkeeping of torch and all else"


def profiled(data, *, warm, steps, **how):
    """Self processor time of each operation in ms a step, and tokens a step, over `steps` after the first `warm`."""
    watched, tokens = profile(activities=[ProfilerActivity.CPU]), []
    for event in ours.prepared("ner", data, epochs=3, seed=0, **how).events:
        if isinstance(event, Stepped):
            tokens.append(event.tokens)
            if len(tokens) == warm:
                watched.start()
            if len(tokens) == warm + steps:
                break
    watched.stop()
    spent = {event.key: event.self_cpu_time_total / 1000 / steps for event in watched.key_averages()}
    return spent, sum(tokens[warm:]) / steps


def purpose_of(operation):
    return next((name for name, begins in PURPOSES.items() if operation.startswith(begins)), REST)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warm", type=int, default=70, help="steps before, the first epoch and a little more")
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    data = data_rows.load("ner", 1000, 1)
    print("# Where the time of a step goes\n\nPrinted by `python -m benchmarks.training.profile`.\n")
    print(*(f"- {name}: {value}" for name, value in machine.facts().items() if value is not None), sep="\n")
    for case, how in CASES.items():
        spent, tokens = profiled(data, warm=options.warm, steps=options.steps, **how)
        whole, purposes = sum(spent.values()), Counter()
        for operation, own in spent.items():
            purposes[purpose_of(operation)] += own
        print(f"\n## {case}: {whole:.0f} ms of processor time a step of {tokens:.0f} tokens\n")
        print("| purpose | ms | share |\n|---|---|---|")
        for name, own in purposes.most_common():
            print(f"| {name} | {own:.1f} | {own / whole:.0%} |")
        print("\n| operation | ms | share |\n|---|---|---|")
        for name, own in Counter(spent).most_common(16):
            print(f"| `{name}` | {own:.1f} | {own / whole:.0%} |")


if __name__ == "__main__":
    main()
