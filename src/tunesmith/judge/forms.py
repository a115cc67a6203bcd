"""The nine shapes an answer can have, and what each adds to the books.

spans        token_classification
labels       text_classification, label_matching, cloze_classification, pair_matching with classes
multilabel   text_classification whose gold is a tuple
joint        joint_classification: a label with entities, which are right together or not
paths        hierarchical_classification: the nodes on the way down to a label
scores       text_regression, pair_matching whose gold is a number, retrieval that learns scores
ranking      retrieval: the documents that answer, the best first
texts        generation: one reference or several
answers      extractive_qa: spans of the context, or none where the question has no answer there
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tunesmith.core.errors import UsageError
from tunesmith.core.example import Gold, LabelAndSpans, Node
from tunesmith.core.format import READ_AS
from tunesmith.core.prediction import Prediction
from tunesmith.judge import sides
from tunesmith.judge.metrics import answers, joint, labels, multilabel, paths, ranking, spans, writing
from tunesmith.judge.metrics.counts import Counts, Floats, Row
from tunesmith.judge.metrics.tokens import script_of

KINDS = (
    "token_classification",
    "text_classification",
    "hierarchical_classification",
    "label_matching",
    "cloze_classification",
    "joint_classification",
    "text_regression",
    "pair_matching",
    "retrieval",
    "generation",
    "extractive_qa",
)
TREE = "hierarchical_classification"
"""The kind whose rows look like those of another and whose answers do not"""
WRITTEN = ("texts", "answers")
"""The shapes whose answers are read, not counted by label"""


@dataclass(frozen=True, slots=True)
class Form:
    """How one shape of answer is counted, and which of its metrics leads.

    `behind` names the statistic that counts what a metric is a share of, where that is not all rows; "" where it is no
    share at all and may pass 1. `parts` are the books whose labels are listed each by themselves, "" for the only ones;
    `entities` names those of entities, None where there are none.
    """

    name: str
    main: str
    row: Callable[[Prediction], Row]
    metrics: Callable[[Counts], dict[str, Floats]]
    behind: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[str, ...] = ("",)
    entities: str | None = None


def form_of(prediction: Prediction, kind: str) -> str:
    """The shape of the answers that `prediction` is the first of.

    Raises:
        UsageError: a kind that nobody knows how to judge.
        DataError: the row has no gold, or gold of another kind.
    """
    if kind not in KINDS:
        raise UsageError(f"cannot judge {kind!r}", code="TS-JUDGE-003", fix=f"choose one of: {', '.join(KINDS)}.")
    shape = _shape(kind if kind == TREE else READ_AS.get(kind, kind), prediction.gold)
    if shape is None:
        raise sides.unfit(prediction, f"a gold answer for {kind}")
    return shape


def _shape(rows: str, gold: Gold | None) -> str | None:
    """The shape that answers to such gold have, by what its rows are read as."""
    match rows, gold:
        case "token_classification", tuple():
            return "spans"
        case "joint_classification", LabelAndSpans():
            return "joint"
        case "hierarchical_classification", (Node(), *_):
            return "paths"
        case "text_classification", tuple():
            return "multilabel"
        case "text_classification" | "pair_matching", str():
            return "labels"
        case "text_regression" | "pair_matching" | "retrieval", int() | float():
            return "scores"
        case "retrieval", tuple():
            return "ranking"
        case "generation", str() | tuple():
            return "texts"
        case "extractive_qa", tuple():
            return "answers"
    return None


def taken_for(prediction: Prediction, form: str) -> list[tuple[str, str]]:
    """What was taken for what: (gold, predicted) label or entity types, "" for an entity without a counterpart.

    Only labels, the last nodes of paths and entities are taken for one another: nothing for any other form. Of a label
    with entities it is the label.
    """
    if form == "labels":
        return [sides.one_label(prediction)]
    if form == "joint":
        gold, answer = sides.label_and_entities(prediction)
        return [(gold.label, answer.label)]
    if form == "paths":
        wanted, said = sides.paths(prediction)
        return [(wanted[-1], said[-1])]
    if form != "spans":
        return []
    found = spans.pairings(*sides.entities(prediction))
    return [(pair.gold.label if pair.gold else "", pair.predicted.label if pair.predicted else "") for pair in found]


def right(prediction: Prediction, kind: str) -> bool | None:
    """Whether an answer is entirely right; None where answers are scores.

    Raises:
        UsageError: a kind that nobody knows how to judge.
        DataError: the row has no gold, or gold of another kind.
    """
    match form_of(prediction, kind):
        case "spans":
            wanted, found = sides.entities(prediction)
            return set(wanted) == set(found)
        case "labels":
            label, chosen = sides.one_label(prediction)
            return label == chosen
        case "joint":
            one, other = sides.label_and_entities(prediction)
            return (one.label, set(one.spans)) == (other.label, set(other.spans))
        case "paths":
            way, told = sides.paths(prediction)
            return way == told
        case "multilabel":
            gold, said = sides.label_sets(prediction)
            return set(gold) == set(said)
        case "ranking":
            relevant, ranked = sides.documents(prediction)
            return ranked[0].id in {item.id for item in relevant} if ranked else False
        case "scores":
            return None
        case form:
            return FORMS[form].row(prediction)["exact_match", ""] == 1


def _spans_row(prediction: Prediction) -> Row:
    return spans.row(*sides.entities(prediction))


def _labels_row(prediction: Prediction) -> Row:
    return labels.row(*sides.one_label(prediction))


def _joint_row(prediction: Prediction) -> Row:
    wanted, said = sides.label_and_entities(prediction)
    return joint.row((wanted.label, wanted.spans), (said.label, said.spans))


def _multilabel_row(prediction: Prediction) -> Row:
    return multilabel.row(*sides.label_sets(prediction), prediction.scores)


def _paths_row(prediction: Prediction) -> Row:
    return paths.row(*sides.paths(prediction))


def _ranking_row(prediction: Prediction) -> Row:
    wanted, found = sides.documents(prediction)
    return ranking.row({item.id: item.grade for item in wanted}, [item.id for item in found])


def _texts_row(prediction: Prediction) -> Row:
    return {**writing.row(*sides.texts(prediction)), **writing.likelihood_row(prediction.likelihood)}


def _answers_row(prediction: Prediction) -> Row:
    return answers.row(*sides.answers(prediction), script_of((prediction.text,)))


FORMS = {
    form.name: form
    for form in (
        Form("spans", "span_f1", _spans_row, spans.metrics, entities=""),
        Form("labels", "accuracy", _labels_row, labels.metrics, {"mcc": ""}),
        Form(
            "joint",
            "joint_accuracy",
            _joint_row,
            joint.metrics,
            joint.BEHIND,
            parts=joint.PARTS,
            entities=joint.ENTITY,
        ),
        Form("multilabel", "micro_f1", _multilabel_row, multilabel.metrics),
        Form("paths", "hierarchical_f1", _paths_row, paths.metrics, paths.BEHIND),
        Form("ranking", "ndcg_at_10", _ranking_row, ranking.metrics),
        Form("texts", "rouge_l", _texts_row, writing.metrics, {"mean_words": "", "length_ratio": "", "perplexity": ""}),
        Form("answers", "f1", _answers_row, answers.metrics, answers.BEHIND),
    )
}
"""The shapes whose metrics are functions of sums; `scores` needs ranks and is counted in `score_rows`."""
