"""From which length on torch's scaled_dot_product_attention beats our attention core on this processor.

    export OMP_NUM_THREADS=2
    python -m benchmarks.training.crossover

Windows of one length, about 2,048 tokens in all, heads of the starter; the best of some twenty interleaved passes. With
dropout a pass is forward and backward, as in training; without it is forward alone, as in answering, where ours
multiplies in fp32 whatever the rows are. `in fp32` is our core on bf16 rows that multiplies in fp32. The constants at
the head of `tunesmith/models/attention.py` are read off this table: a length is printed with the way that the product
takes, and with the fastest one. Rows go to `crossover.jsonl` beside this file.
"""

import argparse
import time
from pathlib import Path

import torch
from benchmarks import machine, rounds

from tunesmith.models import attention
from tunesmith.models.ragged import plan

LOG = Path(__file__).with_name("crossover.jsonl")
LENGTHS = (8, 16, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512)
TOKENS, WIDTH, HEADS = 2048, 384, 12
NEVER = 10**6
CONSTANTS = ("CROSSOVER", "CROSSOVER_ANSWERING", "CROSSOVER_ANSWERING_BF16", "LOWEST_BF16")
WAYS = {"ours": (NEVER, NEVER, NEVER, 0), "ours in fp32": (NEVER, NEVER, NEVER, NEVER), "sdpa": (0, 0, 0, 0)}
CASES = [(torch.float32, 0.0), (torch.float32, 0.1), (torch.bfloat16, 0.0), (torch.bfloat16, 0.1)]


def measured(length, dtype, dropout, passes):
    """Milliseconds of a pass by way, and by the constants as they are."""
    windows = max(1, TOKENS // length)
    layout = plan((length,) * windows, torch.device("cpu"))
    rows = torch.randn(windows * length, 3 * WIDTH).to(dtype).requires_grad_()
    gradient = torch.randn(windows * length, WIDTH).to(dtype)
    own = tuple(getattr(attention, name) for name in CONSTANTS)
    ways = {name: way for name, way in WAYS.items() if name != "ours in fp32" or (dtype == torch.bfloat16 and dropout)}
    best = dict.fromkeys([*ways, "product"], float("inf"))
    for _ in range(passes):
        for name in best:
            _set(ways.get(name, own))
            begin = time.perf_counter()
            with torch.set_grad_enabled(dropout > 0):
                mixed = attention.attend(rows, layout, heads=HEADS, dropout=dropout)
            if dropout:
                mixed.backward(gradient)
            best[name] = min(best[name], 1000 * (time.perf_counter() - begin))
            rows.grad = None
    _set(own)
    return {name: round(value, 3) for name, value in best.items()}


def _set(values):
    for name, value in zip(CONSTANTS, values, strict=True):
        setattr(attention, name, value)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=20)
    parser.add_argument("--out", type=Path, default=LOG, help="where rows are appended")
    options = parser.parse_args()
    facts = machine.facts()
    print("type  dropout  length    ours  in fp32    sdpa   product   fastest")
    for dtype, dropout in CASES:
        for length in LENGTHS:
            watch = machine.Watch()
            found = measured(length, dtype, dropout, options.passes)
            ways = {name: value for name, value in found.items() if name != "product"}
            row = {"type": str(dtype).removeprefix("torch."), "dropout": dropout, "length": length, "ms": found}
            rounds.append(options.out, row | {"other_cores": watch.other_cores()} | facts)
            in_fp32 = f"{found['ours in fp32']:8.2f}" if "ours in fp32" in found else " " * 8
            print(
                f"{row['type']:9} {dropout:3}  {length:5}  {found['ours']:7.2f} {in_fp32} {found['sdpa']:7.2f}"
                f"  {found['product']:7.2f}   {min(ways, key=ways.get)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
