"""`[data]`: where the rows of a run are, and which of them it learns from."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class SplitSettings(BaseModel):
    """How dev and test rows are taken from the training file where no files are given for them."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    dev: float = 0.1
    """Share of rows that choose the best checkpoint and thresholds."""
    test: float = 0.1
    """Share of rows that the reported score is measured on."""
    by: Literal["stratified", "group", "time"] = "stratified"
    """Keep the label shares, keep groups together (as questions about one text always are, unless rows are taken by
    time), or take the latest rows for dev and test."""


class DrawFiles(BaseModel):
    """The files of one few-shot draw."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    train: str
    """The few rows to learn from."""
    dev: str | None = None
    """The few rows that choose the best checkpoint; without them the last one is taken."""


class MinedSettings(BaseModel):
    """Where the wrong documents come from that a re-ranker learns to tell from right ones."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    by: str
    """A run of a search, or its bundle: what it finds for a question and no row calls an answer is irrelevant."""
    negatives: int = Field(default=4, ge=1, le=100)
    """How many for each question, the nearest first; what rows call irrelevant comes on top."""


class DataSettings(BaseModel):
    """Where the rows are. Any further key is an option of the file format (`format`, `text`, `encoding`, ...)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    train: str | None = None
    """File or folder the model learns from, relative to the configuration (or to `--data`)."""
    dev: str | None = None
    """File that chooses the best checkpoint; taken from `train` where absent."""
    test: str | None = None
    """File the reported score is measured on; taken from `train` where absent."""
    documents: str | None = None
    """For `retrieval`: file of the documents to search (lines, JSONL, CSV); those of all rows where absent."""
    mined: MinedSettings | None = None
    """For `pair_matching`: read the rows of a search, and learn to tell their documents from those that a search takes
    for the nearest wrong ones. The labels are relevant and irrelevant."""
    split: SplitSettings = SplitSettings()
    """Shares and manner of the rows taken from `train` for the files that are absent."""
    shots: int | None = Field(default=None, ge=0)
    """Few-shot: learn only from so many rows of each label, drawn at random. No row is left for dev: a run has a fixed
    length and keeps its last weights. 0 learns from no row at all (`label_matching` can answer so)."""
    draws: list[DrawFiles] | None = Field(default=None, min_length=1)
    """Few-shot with rows that somebody else drew: a table { train = "...", dev = "..." } for each draw."""
    draw: int = Field(default=0, ge=0)
    """Which draw: of `shots` the one with this number, of `draws` this one, from 0."""
    limit: int | None = Field(default=None, ge=1)
    """Use only so many rows of each file, evenly spaced: for a quick try."""
    alignment_loss: float = 0.005
    """The largest share of training entities that may be lost between labels and tokens before training refuses."""
    skip_bad: bool = False
    """Leave rows that cannot be read out, into `rejects.<split>.jsonl` of the run, instead of stopping at the first."""
    options: dict[str, Any] = {}
    """Options of the file format, as written beside the keys above."""

    @model_validator(mode="after")
    def _rows_are_named(self) -> Self:
        if self.draws is None:
            if self.train is None and (self.shots != 0 or self.test is None):
                raise ValueError("train is missing: only a run with shots = 0 and a test file can do without")
            return self
        if self.shots is not None:
            raise ValueError("shots and draws exclude each other: either rows are drawn, or files hold the draws")
        if self.draw >= len(self.draws):
            raise ValueError(f"there is no draw {self.draw}: the first of {len(self.draws)} is draw 0")
        files = self.draws[self.draw]
        if (self.train or files.train, self.dev or files.dev) != (files.train, files.dev):
            raise ValueError("train and dev are those of the draws: leave them out")
        return self

    @property
    def files(self) -> dict[str, str]:
        """The file of each split that has one of its own, training first."""
        own = self.draws[self.draw] if self.draws else self
        dev = None if self.shots is not None else own.dev
        named = {"train": own.train, "dev": dev, "test": self.test}
        return {name: file for name, file in named.items() if file is not None}

    @property
    def few_shot(self) -> bool:
        """Whether there are no rows but the few to learn from, unless a file is named for dev."""
        return self.shots is not None or self.draws is not None
