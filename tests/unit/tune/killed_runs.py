"""Kill runs with SIGKILL at random moments until they finish, and compare their bits with those of a run left alone.

    python killed_runs.py FOLDER TRIALS        prints one JSON object

torch is imported once; every attempt is a forked child, so that a kill costs a fraction of a second.
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch

from tunesmith.core.batch import Encoding
from tunesmith.core.model import Model
from tunesmith.core.rooms import METHODS, REGULARIZERS, TASKS
from tunesmith.models.inference import logits_of
from tunesmith.models.loading import build_backbone
from tunesmith.models.surgery import apply_method
from tunesmith.tune.checkpoint import Keeping, newest
from tunesmith.tune.data import TrainingData
from tunesmith.tune.durable import raw
from tunesmith.tune.fit import fit
from tunesmith.tune.settings import TrainSettings

CONFIG = {
    "model_type": "bert", "vocab_size": 120, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 32, "max_position_embeddings": 64, "type_vocab_size": 2, "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}  # fmt: skip
SETTINGS = {"length": "4 epochs", "learning_rate": 3e-3, "batch_size": 4, "accumulate": 2, "save_every": "2 steps"}


def window(index: int) -> Encoding:
    draw = np.random.default_rng(index)
    ids = draw.integers(20, 110, int(draw.integers(3, 12))).astype(np.int32)
    nowhere = np.zeros(1, np.int32)
    label = np.array([index % 2], np.int64)
    ids[1] = 10 + index % 2
    return Encoding(example=index, input_ids=ids, segment_ids=None, places=nowhere, units=nowhere, targets=label)


def run(folder: Path, method: str, precision: str) -> None:
    """Go on with the run in `folder`, or begin it, and write its digest when it is complete."""
    torch.manual_seed(5)
    task = TASKS.make({"kind": "text_classification", "labels": ["a", "b"], "multi_label": False}, key="task")
    backbone = build_backbone(CONFIG)
    model = Model(backbone, task.head(backbone))
    apply_method(model, METHODS.make(method, key="method"))
    windows = [window(index) for index in range(60)]
    data = TrainingData(encodings=windows, ids=[str(index) for index in range(60)], seed=1)
    dev = windows[:20]

    def score(current: Model) -> float:
        return sum(float(logits[0, index % 2]) for index, logits in logits_of(current, dev))

    settings = TrainSettings.model_validate(SETTINGS | {"precision": precision, "evaluate_every": "3 steps"})
    keeping = Keeping(folder=folder / "checkpoints", resume=newest(folder / "checkpoints"))
    terms = [REGULARIZERS.make("r_drop", key="x")]
    for _ in fit(model, task, data, settings=settings, regularizers=terms, evaluate=score, keeping=keeping):
        pass
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(raw(tensor))
    fresh = folder / "digest.tmp"
    fresh.write_text(digest.hexdigest())
    fresh.replace(folder / "digest")


def attempt(folder: Path, method: str, precision: str, *, lives: float | None) -> bool:
    """Run in a child that is killed after `lives` seconds; whether it finished before."""
    child = os.fork()
    if not child:
        try:
            run(folder, method, precision)
        except BaseException as error:
            sys.stderr.write(f"{folder.name}: {error!r}\n")
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    if lives is not None:
        time.sleep(lives)
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise SystemExit(f"a run in {folder} could not go on")
    return status == 0


def main(folder: Path, trials: int) -> dict[str, int]:
    """Kill `trials` runs until they finish."""
    torch.set_num_threads(1)
    kinds = [(method, precision) for method in ("full", "lora") for precision in ("fp32", "bf16")]
    expected, took = {}, {}
    for method, precision in kinds:
        alone = folder / f"alone-{method}-{precision}"
        alone.mkdir(parents=True)
        begin = time.perf_counter()
        attempt(alone, method, precision, lives=None)
        took[method, precision] = time.perf_counter() - begin
        expected[method, precision] = (alone / "digest").read_text()
    draw = random.Random(0)
    equal = kills = 0
    for trial in range(trials):
        method, precision = kinds[trial % len(kinds)]
        place = folder / f"trial-{trial}"
        place.mkdir()
        for _ in range(6):
            kills += not attempt(place, method, precision, lives=draw.uniform(0.02, 0.7 * took[method, precision]))
        attempt(place, method, precision, lives=None)
        equal += (place / "digest").read_text() == expected[method, precision]
    return {"trials": trials, "kills": kills, "equal": equal}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
