"""Everything a run needs before its first step: rows, tokenizer, task with its labels, audit and certificate."""

from dataclasses import dataclass
from pathlib import Path

from tunesmith.core.errors import ConfigError, Place
from tunesmith.core.example import Document, Example
from tunesmith.core.model import Backbone
from tunesmith.core.rooms import TASKS
from tunesmith.core.task import RankingTask, Task, WritingTask
from tunesmith.core.tokenizer import Tokenizer
from tunesmith.methods._stacked import with_adapter
from tunesmith.models.checkpoint import Checkpoint, locate
from tunesmith.models.loading import load_backbone
from tunesmith.models.template_file import chat_template
from tunesmith.models.writing import rereads
from tunesmith.prepare.answer_lengths import answer_sections
from tunesmith.prepare.audit import AuditReport, Section, audit, mostly_chinese
from tunesmith.prepare.certificate import Certificate, certify
from tunesmith.prepare.characters import Level
from tunesmith.prepare.question_audit import question_sections
from tunesmith.prepare.relevance import documents_of, questions_of, require_known
from tunesmith.prepare.search_audit import audited_apart
from tunesmith.run.candidate_pairs import with_candidates
from tunesmith.run.config import RunConfig
from tunesmith.run.data import RunData, load
from tunesmith.run.documents import read_documents
from tunesmith.run.folder import RunFolder
from tunesmith.tasks.extractive_qa import ExtractiveQa, learnt_answer
from tunesmith.tasks.joint_classification import JointClassification
from tunesmith.tasks.pair_matching import PairMatching
from tunesmith.tasks.token_classification import TokenClassification

ENGLISH = ("starter:english",)
"""Backbones that are known to read English only."""
LONGEST_WINDOW = 512
"""Tokens; a backbone with more positions could take more, at a cost that grows with the square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The inputs of a run. `config.task` is bound to the data."""

    config: RunConfig
    data: RunData
    checkpoint: Checkpoint
    backbone: Backbone
    tokenizer: Tokenizer
    task: Task
    audit: AuditReport
    notes: tuple[str, ...]
    """What was detected or assumed, one sentence each."""
    documents: tuple[Document, ...] = ()
    """What questions are answered with, where the task ranks documents"""

    def asked(self, name: str) -> list[Example]:
        """The examples of a split as answers to them are judged: with gold in the form of the task's answers."""
        rows = self.data.splits()[name]
        if isinstance(self.task, RankingTask) and self.documents:
            return questions_of(rows, self.documents, self.task.grade)
        return [self.task.asked(example) for example in rows]


def prepared(config: RunConfig, *, rejects: Path | None = None, check: bool = True) -> Prepared:
    """Read, bind and check. With `check=False` a certificate above the allowed loss is a finding, not a refusal.

    Raises:
        ConfigError: silver pairs for a task that does not score pairs; no training row for a task that needs some.
        DataError: bad rows, labels that do not fit, or more entities lost between labels and tokens than allowed.
        ModelFileError, MissingInputError, MissingExtraError: a backbone that cannot be used.
    """
    checkpoint = locate(config.backbone)
    data = with_candidates(config, load(config, rejects=rejects))
    task = config.task or TASKS.make(data.finding.task, key="task")
    if not task.answers_untrained and (config.train.learns_nothing or not data.train):
        raise ConfigError(
            f"the head of {task.kind()} knows nothing before it learns, and would answer at random",
            code="TS-RUN-030",
            place=Place(key="data.shots" if not data.train else "train.length"),
            fix='give rows to learn from and a length, or set task.kind = "label_matching" or "cloze_classification", '
            "which answer without learning.",
        )
    task = task.bound(data.named)
    if config.silver and not (isinstance(task, PairMatching) and task.score_range):
        raise ConfigError(
            "only pairs with scores can have silver pairs",
            code="TS-RUN-012",
            place=Place(key="silver"),
            fix="leave it out for this task.",
        )
    for examples in filter(None, (data.dev, data.test)):
        task.bound(examples)  # a label that training lacks is refused now, not after an hour of training
    backbone = load_backbone(checkpoint, dropout=config.train.dropout)
    for name in config.adapters:
        adapter = RunFolder(config.path(name)).adapter
        checkpoint = with_adapter(backbone, checkpoint, adapter if adapter.is_dir() else config.path(name))
    longest = min(backbone.max_length - config.method.rows, LONGEST_WINDOW)
    tokenizer = Tokenizer(
        checkpoint.tokenizer_file,
        max_length=longest,
        causal=backbone.causal,
        template=chat_template(checkpoint) if backbone.causal else None,
    )
    task = task.fitted(backbone, tokenizer, examples=data.train)
    certificates = certificates_of(task, data.splits(), tokenizer)
    if certificates and check:
        certificates["train"].require(config.data.alignment_loss)
    found = audit(
        {name: rows for name, rows in data.splits().items() if rows},
        tokenizer=tokenizer,
        max_length=getattr(task, "max_length", None),
        level=_level(task),
        certificates=certificates,
        answers=_answer_sections(task, data.splits()),
        english_only=config.backbone in ENGLISH,
    )
    if isinstance(task, RankingTask):
        own = getattr(task, "max_length", None)
        found = audited_apart(found, data.splits(), tokenizer=tokenizer, max_length=own)
    documents = collected(config, task, data)
    origin = config.data.documents or "those of all rows of train, dev and test"
    searched = (f"{len(documents):,} documents are searched: {origin}",) if documents else ()
    notes = (*data.notes, *searched, *_language_note(config, data.train), *_writing_note(task, backbone))
    return Prepared(
        config=config.with_task(task),
        data=data,
        checkpoint=checkpoint,
        backbone=backbone,
        tokenizer=tokenizer,
        task=task,
        audit=found,
        notes=notes,
        documents=documents,
    )


def collected(config: RunConfig, task: Task, data: RunData) -> tuple[Document, ...]:
    """The documents that are searched: those of a file, or of all rows of all splits; none where nothing is ranked.

    Raises:
        ConfigError: a file of documents for a task that searches none.
        DataError: a bad row of that file, or a dev or test row whose document it lacks.
    """
    named = config.data.documents
    if isinstance(task, RankingTask) and not task.scores_pairs:
        if named is None:
            return documents_of(example for rows in data.splits().values() for example in rows)
        documents = read_documents(config.path(named))
        require_known(documents, [row for row in (*data.dev, *data.test) if task.grade(row) > 0])
        return documents
    if named:
        raise ConfigError(
            "this task searches no documents",
            code="TS-RUN-027",
            place=Place(key="data.documents"),
            fix='leave it out, or set task.kind = "retrieval".',
        )
    return ()


def _answer_sections(task: Task, splits: dict[str, tuple[Example, ...]]) -> tuple[Section, ...]:
    """What there is to say about answers; nothing for labels."""
    if isinstance(task, ExtractiveQa):
        return question_sections(splits, level=task.units)
    return answer_sections(splits) if isinstance(task, WritingTask) else ()


def certificates_of(task: Task, splits: dict[str, tuple[Example, ...]], tokenizer: Tokenizer) -> dict[str, Certificate]:
    """An alignment certificate for each split of a task with entities or answers, else nothing."""
    match task:
        case TokenClassification() | JointClassification():
            level, scheme, made_of = task.level, task.scheme, splits
        case ExtractiveQa():  # of several references, which may overlap, the one that is learnt
            level, scheme = task.units, "BIO"
            made_of = {name: tuple(map(learnt_answer, examples)) for name, examples in splits.items()}
        case _:
            return {}
    return {
        name: certify(examples, tokenizer, level=level, scheme=scheme, max_length=task.max_length)
        for name, examples in made_of.items()
    }


def _level(task: Task) -> Level | None:
    """The units that a task tokenises one by one; None where it takes texts whole."""
    match task:
        case TokenClassification() | JointClassification():
            return task.level
        case ExtractiveQa():
            return task.units
        case _:
            return None


def _language_note(config: RunConfig, examples: tuple[Example, ...]) -> tuple[str, ...]:
    if config.backbone in ENGLISH and mostly_chinese(example.text for example in examples[:2000]):
        return ('warning: the texts are mostly Chinese; set backbone = "starter:multilingual"',)
    return ()


def _writing_note(task: Task, backbone: Backbone) -> tuple[str, ...]:
    if isinstance(task, WritingTask) and rereads(backbone):
        kind = backbone.config["model_type"]
        return (
            f"warning: {kind} keeps no cache that texts can leave; each token is written by reading all of it again",
        )
    return ()
