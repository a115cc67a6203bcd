"""The first line of a report: does the model beat what anyone could have done without one?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tunesmith.judge.metrics.paths import LEVELS

Standing = Literal["better", "unproven", "worse", "alone"]

METRIC_NAMES: Mapping[str, tuple[str, str]] = {
    "span_f1": ("strict entity F1", "实体严格 F1"),
    "joint_accuracy": ("label and all entities right", "标签与实体全对"),
    "label_accuracy": ("accuracy of the labels", "标签准确率"),
    "label_macro_f1": ("macro F1 of the labels", "标签宏平均 F1"),
    "accuracy": ("accuracy", "准确率"),
    "macro_f1": ("macro F1", "宏平均 F1"),
    "micro_f1": ("micro F1", "微平均 F1"),
    "weighted_f1": ("weighted F1", "加权 F1"),
    "hierarchical_f1": ("hierarchical F1", "层级 F1"),
    "hierarchical_precision": ("hierarchical precision", "层级精确率"),
    "hierarchical_recall": ("hierarchical recall", "层级召回率"),
    "path_accuracy": ("exact paths", "路径完全一致"),
    **{f"level_{level}_accuracy": (f"accuracy at level {level}", f"第 {level} 级准确率") for level in LEVELS},
    "spearman": ("Spearman correlation", "Spearman 相关系数"),
    "ndcg_at_10": ("nDCG@10", "nDCG@10"),
    "mrr_at_10": ("MRR@10", "MRR@10"),
    "recall_at_1": ("recall@1", "召回率@1"),
    "recall_at_5": ("recall@5", "召回率@5"),
    "recall_at_10": ("recall@10", "召回率@10"),
    "rouge_l": ("ROUGE-L", "ROUGE-L"),
    "bleu": ("BLEU", "BLEU"),
    "chrf": ("chrF", "chrF"),
    "f1": ("F1 over words", "词级 F1"),
    "token_f1": ("F1 over words", "词级 F1"),
    "exact_match": ("exact match", "完全匹配率"),
}
SIGNIFICANT = 0.05
"""The p-value below which a difference is not taken for chance."""
LEADS: Mapping[Standing, tuple[str, str]] = {
    "better": ("Better than its best baseline.", "优于最好的基线。"),
    "unproven": ("NOT shown to be better than its best baseline.", "未能证明优于最好的基线。"),
    "worse": ("NOT better than its best baseline.", "不优于最好的基线。"),
    "alone": ("Not compared with any baseline.", "没有与任何基线比较。"),
}
"""How every headline begins."""
BASELINE_NAMES: Mapping[str, tuple[str, str]] = {
    "all_outside": ("no entity anywhere", "不标任何实体"),
    "dictionary": ("a dictionary of the training entities", "训练集实体词典"),
    "majority": ("the most frequent label", "最常见的标签"),
    "tfidf_logistic": ("TF-IDF + logistic regression", "TF-IDF + 逻辑回归"),
    "majority_outside": ("the most frequent label and no entity", "最常见的标签，不标实体"),
    "tfidf_dictionary": ("TF-IDF labels and a dictionary of entities", "TF-IDF 标签，加实体词典"),
    "mean": ("the mean score", "平均分"),
    "tfidf_cosine": ("TF-IDF cosine", "TF-IDF 余弦"),
    "tfidf_ridge": ("TF-IDF + ridge regression", "TF-IDF + 岭回归"),
    "random": ("random documents", "随机文档"),
    "popular": ("the documents asked for most", "最常被问到的文档"),
    "bm25": ("BM25", "BM25"),
    "untuned": ("the model before tuning", "微调之前的模型"),
    "frequent_answer": ("the most frequent answer", "最常见的回答"),
    "nearest_answer": ("the answer to the most similar question", "最相似问题的回答"),
    "no_answer": ("no answer anywhere", "一律无答案"),
    "most_similar_sentence": ("the sentence most like the question", "与问题最相似的句子"),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the model stands to its best baseline, as a word for programs and a sentence in two languages."""

    standing: Standing
    baseline: str | None
    english: str
    chinese: str

    def as_record(self) -> dict[str, str | None]:
        """A JSON-ready object."""
        return {"standing": self.standing, "baseline": self.baseline, "en": self.english, "zh": self.chinese}


def verdict(split: str, record: Mapping[str, Any]) -> Verdict:
    """The sentence for one split of `report.json`.

    Better means: the 95 % interval of the difference to the best baseline lies above 0 and the paired test agrees.
    """
    main = record["main_metric"]
    name, name_zh = METRIC_NAMES.get(main, (main, main))
    own = _number(record["metrics"][main])
    facts = f"{_begun(name)} {own} on {split} ({record['n']:,} rows)"
    facts_zh = f"{split}（{record['n']:,} 行）上{_spaced(name_zh)} {own}"
    rivals: Mapping[str, Any] = record["baselines"]
    if not rivals:
        return _said("alone", None, f"{facts}.", f"{facts_zh}。")
    best = max(sorted(rivals), key=lambda rival: rivals[rival]["metrics"][main]["value"])
    test = rivals[best]["test"]
    against, against_zh = BASELINE_NAMES.get(best, (best, best))
    theirs = f"{rivals[best]['metrics'][main]['value']:.3f}"
    difference = f"{test['difference']:+.3f} [{test['low']:+.3f}, {test['high']:+.3f}]"
    facts += f", against {theirs} for {against}: difference {difference}, {p_in_words(test['p_value'])}."
    facts_zh += f"，{against_zh}为 {theirs}；相差 {difference}，{p_in_words(test['p_value'])}。"
    if shown(test):
        return _said("better", best, facts, facts_zh)
    return _said("unproven" if test["difference"] > 0 else "worse", best, facts, facts_zh)


def shown(test: Mapping[str, Any]) -> bool:
    """Whether a paired test shows its first model to be the better one: the interval and the p-value both say so."""
    return bool(test["low"] > 0 and test["p_value"] < SIGNIFICANT)


def _said(standing: Standing, baseline: str | None, facts: str, facts_zh: str) -> Verdict:
    lead, lead_zh = LEADS[standing]
    return Verdict(standing, baseline, f"{lead} {facts}", f"{lead_zh}{facts_zh}")


def _begun(name: str) -> str:
    """A name at the start of a sentence; chrF is written so wherever it stands."""
    return f"{name[0].upper()}{name[1:]}" if name.split()[0].islower() else name


def _spaced(name: str) -> str:
    """A Latin word in a Chinese sentence keeps a blank before it."""
    return f" {name}" if name.isascii() or name[0].isascii() else name


def _number(metric: Mapping[str, float]) -> str:
    return f"{metric['value']:.3f} [{metric['low']:.3f}, {metric['high']:.3f}]"


def p_in_words(value: float) -> str:
    """A p-value at three digits."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
