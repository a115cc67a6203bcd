"""What `tunesmith audit` can be pointed at."""

from pathlib import Path

from tunesmith.run.audited import config_of

SAMPLES = Path(__file__).parents[3] / "samples" / "support_en"


def test_a_folder_of_splits_is_not_refused_as_a_file() -> None:
    data = config_of(SAMPLES).data
    assert [Path(name or "").name for name in (data.train, data.dev, data.test)] == [
        "train.jsonl",
        "dev.jsonl",
        "test.jsonl",
    ]
