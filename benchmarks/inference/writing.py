"""Writing answers: our decoding engine against `generate` of transformers, the same prompts and the same tokens out.

    export OMP_NUM_THREADS=2
    python -m benchmarks.inference.writing --rounds 5                        random weights of SmolLM2-135M's shape
    python -m benchmarks.inference.writing --model starter:chat              a checkpoint: starter, folder or Hub name
    python -m benchmarks.inference.writing --device cuda                     on a GPU
    python -m benchmarks.inference.writing --table                           prints the bar and the newest run

Each round answers 16 prompts of unequal length (8 to 120 tokens, drawn) greedily in fp32 with both variants, in a fresh
process each, after one short run to warm up. Nothing ends early, so both write exactly `--tokens` tokens for each
prompt. transformers pads on the left, as its documentation asks for, and attends with its default, torch's
scaled_dot_product_attention. Printed are medians and ranges over rounds and ratios within a round, by wall and by
processor time; with `OMP_NUM_THREADS=1` the latter hardly feels what others do. `prefill` is the run that writes one
token, which is to read the prompts: how many times as fast it is. Rows go to `writing.jsonl` beside this file.
"""

import argparse
import hashlib
import json
import statistics
import tempfile
from functools import partial
from pathlib import Path

from benchmarks import machine, rounds
from benchmarks.inference.bars import BUSY

LOG = Path(__file__).with_name("writing.jsonl")
VARIANTS = ("transformers", "tunesmith")
BAR = 1.5
PROMPTS, SHORTEST, LONGEST = 16, 8, 120
SHAPE = {
    "hidden_size": 576,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "intermediate_size": 1536,
    "vocab_size": 49152,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
    "initializer_range": 0.04,
    "tie_word_embeddings": True,
}
SHOWN = ("tokens_per_second", "tokens_per_processor_second", "prefill_seconds", "peak_rss_mb", "other_cores")


def one(options):
    """Write with one variant in this process and hand its row over."""
    prompts = drawn(options.seed)
    whole = machine.Watch()
    write = (_ours if options.variant == "tunesmith" else _theirs)(options.model, options.device)
    load = whole.wall()
    write(prompts, 3)
    prefill = machine.Watch()
    write(prompts, 1)
    prefill_seconds = prefill.wall()
    watch = machine.Watch()
    answers = write(prompts, options.tokens)
    seconds, processor = watch.wall(), watch.processor()
    count = sum(map(len, answers))
    measured = {
        "model": options.name if options.device == "cpu" else f"{options.name}, {options.device}",
        "prompts": len(prompts),
        "tokens": options.tokens,
        "tokens_per_second": round(count / seconds, 1),
        "tokens_per_processor_second": round(count / processor, 1),
        "prefill_seconds": round(prefill_seconds, 2),
        "load_seconds": round(load, 2),
        "peak_rss_mb": round(machine.peak_memory_mb()),
        "written": hashlib.sha256(json.dumps(answers).encode()).hexdigest()[:16],
        "other_cores": whole.other_cores(),
    }
    rounds.hand_over(measured | machine.facts())


def drawn(seed):
    """Token ids of the prompts, in an order that is not that of their lengths."""
    import numpy as np

    draw = np.random.default_rng(seed)
    lengths = np.linspace(SHORTEST, LONGEST, PROMPTS).astype(int)
    return [draw.integers(1000, 40_000, length).tolist() for length in draw.permutation(lengths)]


def _ours(folder, device):
    import torch

    from tunesmith.models.cached_decoder import CachedDecoder
    from tunesmith.models.checkpoint import locate
    from tunesmith.models.decoding import Decoding
    from tunesmith.models.loading import load_backbone
    from tunesmith.models.packed import PackedLinear
    from tunesmith.models.writer import Writer

    decoder = load_backbone(locate(folder)).eval().to(device)
    head = PackedLinear(decoder.words.weight, None, dtype=torch.float32)
    writer = Writer(CachedDecoder(decoder), head, ends=())
    return lambda prompts, tokens: [
        list(answer.ids) for answer in writer.write(prompts, Decoding(max_new_tokens=tokens))
    ]


def _theirs(folder, device):
    import torch
    from transformers import AutoModelForCausalLM

    from tunesmith.models.checkpoint import locate

    model = AutoModelForCausalLM.from_pretrained(locate(folder).folder, dtype=torch.float32).eval()
    model.to(device)
    model.generation_config.eos_token_id = None

    def write(prompts, tokens):
        longest = max(map(len, prompts))
        ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts], device=device)
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
        generate = partial(model.generate, do_sample=False, pad_token_id=0, max_new_tokens=tokens)
        with torch.inference_mode():
            return generate(input_ids=ids, attention_mask=mask)[:, longest:].tolist()

    return write


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a Llama checkpoint with tied words; random weights where none is given")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64, help="new tokens of each answer")
    parser.add_argument("--out", type=Path, default=LOG, help="where rows are appended")
    parser.add_argument("--table", action="store_true", help="print the bar and what the newest run reached")
    for hidden in ("--variant", "--name"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.table:
        for processor, rows in rounds.by_processor(rounds.read(options.out)).items():
            print(f"## {processor}\n\n{table(rows)}\n")
        return
    if options.variant:
        one(options)
        return
    if options.model:
        compare(options, options.model, options.model)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(options, _random(Path(folder)), "random weights of SmolLM2-135M's shape")


def _random(folder):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**SHAPE)).save_pretrained(folder)
    (folder / "tokenizer.json").write_text("{}")  # ids are drawn, nobody reads texts
    return str(folder)


def compare(options, model, name):
    """Both variants, round by round, then the summary."""
    size = ["benchmarks.inference.writing", "--model", model, "--name", name, "--tokens", str(options.tokens)]
    size += ["--device", options.device]
    print(json.dumps(machine.facts()))
    found = []

    def commands(seed):
        order = VARIANTS if seed % 2 == 0 else VARIANTS[::-1]
        return {variant: [*size, "--variant", variant, "--seed", str(seed)] for variant in order}

    for row in rounds.interleaved(commands, rounds=options.rounds, log=options.out):
        found.append(row)
        print(f"round {row['seed']} {row['variant']:13}", *(f"{key} {row[key]}" for key in SHOWN), flush=True)
    print(f"\n{table(found)}")


def table(rows):
    """Markdown, one line for each model, of its newest run that has both variants."""
    head = ["model", "tokens/s", "transformers", "ratio", "by processor time", "prefill", "same tokens", "bar", "met"]
    head += ["rounds", "threads", "others", "commit"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    newest = {row["model"]: row["run"] for row in rows if row["variant"] == "tunesmith"}
    for model, run in newest.items():
        lines.append(f"| {' | '.join([model, *_cells([row for row in rows if row['run'] == run])])} |")
    return "\n".join(lines)


def _cells(rows):
    own, their = ([row for row in rows if row["variant"] == name] for name in ("tunesmith", "transformers"))
    wall, processor, prefill = (
        rounds.ratios(rows, "tunesmith", "transformers", key)
        for key in ("tokens_per_second", "tokens_per_processor_second", "prefill_seconds")
    )
    written = {row["seed"]: row["written"] for row in their}
    same = sum(row["written"] == written.get(row["seed"]) for row in own)
    others = max(row["other_cores"] for row in rows)
    decides = wall if others <= BUSY else processor if rows[0]["threads"] == "1" else None
    return [
        rounds.spread([row["tokens_per_second"] for row in own], 0),
        rounds.spread([row["tokens_per_second"] for row in their], 0),
        rounds.spread(wall),
        rounds.spread(processor),
        rounds.spread([1 / ratio for ratio in prefill]),
        f"{same} of {len(own)}",
        f"at least {BAR:g}",
        "-" if decides is None else "yes" if statistics.median(decides) >= BAR else "no",
        str(len(own)),
        str(rows[0]["threads"]),
        f"{others:.2f}" + (" busy" if others > BUSY else ""),
        own[0]["commit"],
    ]


if __name__ == "__main__":
    main()
