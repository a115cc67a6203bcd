"""The names that columns go by, best first, and how a name in a file is compared with them."""

import re

TEXT = (
    "text", "sentence", "utterance", "tweet", "review", "comment", "message", "content", "query", "question", "body",
    "document", "post", "headline", "title", "test_case", "phrase", "input", "sentence1",
    "文本", "内容", "句子", "评论", "标题", "正文", "题目",
)  # fmt: skip
LABEL = (
    "label", "labels", "class", "category", "categories", "intent", "intents", "sentiment", "target", "emotion",
    "emotions", "topic", "genres", "tag", "label_gold", "gold", "is_toxic", "toxicity", "y",
    "标签", "类别", "分类", "情感", "意图", "正负面", "正/负面",
)  # fmt: skip
PAIRS = (
    ("premise", "hypothesis"), ("sentence1", "sentence2"), ("question1", "question2"), ("text1", "text2"),
    ("text_a", "text_b"), ("sentence_a", "sentence_b"), ("q1", "q2"), ("s1", "s2"), ("text", "pair"),
    ("text", "text_pair"), ("query", "passage"), ("query", "document"), ("question", "document"),
    ("question", "passage"), ("question", "article"), ("问题1", "问题2"), ("句子1", "句子2"),
)  # fmt: skip
SCORE = ("score", "similarity", "similarity_score", "rating", "relatedness")
ENTITIES = ("entities", "spans", "entity", "annotations", "ner", "labels", "label")
QUESTION = ("question", "query", "问题", "提问", "question_text", "query_text", "pair")
CONTEXT = (
    "context", "context_text", "passage", "paragraph", "document", "article", "text", "content", "body",
    "原文", "文章", "段落", "文本", "内容",
)  # fmt: skip
ANSWERS = ("answers", "answer", "gold_answers", "answer_text", "答案", "回答")
IMPOSSIBLE = ("is_impossible", "impossible", "unanswerable")
DOCUMENT = ("title", "document_title", "context_id", "passage_id", "paragraph_id", "标题")
TOKENS = ("tokens", "words", "token")
TAGS = ("tags", "ner_tags", "ner", "labels", "slots", "bio", "tag")
PROMPTS = (
    ("instruction", "output"), ("instruction", "response"), ("instruction", "answer"), ("prompt", "completion"),
    ("prompt", "response"), ("prompt", "answer"), ("prompt", "output"), ("question", "answer"), ("query", "response"),
    ("source", "target"), ("input", "output"), ("mr", "ref"), ("text", "answer"), ("document", "summary"),
    ("article", "highlights"), ("问题", "回答"), ("指令", "输出"), ("输入", "输出"),
)  # fmt: skip
PROMPT_INPUT = "input"
PROMPT = (
    "prompt", "instruction", "question", "query", "input", "source", "mr", "document", "article", "text", "title",
    "问题", "指令", "输入", "标题",
)  # fmt: skip
ANSWER = (
    "answer", "output", "response", "completion", "target", "reference", "ref", "references", "summary", "highlights",
    "reply", "label", "回答", "答案", "输出", "摘要",
)  # fmt: skip
ID = ("id", "uid", "guid", "idx", "uuid", "_id", "case_id")
GROUP = (
    "group", "conversation_id", "dialogue_id", "dialog_id", "doc_id", "document_id", "thread_id", "session_id",
)  # fmt: skip
TIME = ("time", "date", "timestamp", "created_at", "datetime", "published", "tweet_created", "日期", "时间")
SPLIT = ("split", "set", "fold", "partition", "subset")
SPLIT_VALUES = frozenset(("train", "training", "dev", "valid", "validation", "val", "test", "testing", "eval"))
HEADER = frozenset((*TEXT, *LABEL, *SCORE, *ID, *GROUP, *TIME, *SPLIT, *(n for pair in PAIRS for n in pair), *TOKENS))


def folded(name: str) -> str:
    """A name without case, blanks and joints: `Tweet Text`, `tweet_text` and `tweetText` are one."""
    return re.sub(r"[\s_/-]+", "", name).lower()


def named(names: list[str], known: tuple[str, ...], *, endings: bool = False) -> list[str]:
    """The names of a file that are known ones, best first; with `endings` also `airline_sentiment` for `sentiment`."""
    exact = [name for want in known for name in names if folded(name) == folded(want)]
    nested = [
        name for want in known for name in names if "." in name and folded(name.rpartition(".")[2]) == folded(want)
    ]
    ending = [
        name
        for want in known
        for name in names
        if endings and len(want) > 3 and re.search(rf"(^|[\s_.-]){re.escape(want)}$", name.lower())
    ]
    return list(dict.fromkeys((*exact, *nested, *ending)))
