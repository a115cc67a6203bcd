"""`/openapi.json`: requests described by the very models that parse them, answers as the tests hold them to be."""

from collections.abc import Sequence
from typing import Any, Final

from tunesmith.serve.problem import MEDIA_TYPE, title_of
from tunesmith.serve.settings import ServeSettings
from tunesmith.serve.wire import PredictRequest

_NUMBER: Final[dict[str, Any]] = {"type": "number"}
_SHARE: Final[dict[str, Any]] = {"type": "number", "minimum": 0, "maximum": 1}
_TEXT: Final[dict[str, Any]] = {"type": "string"}
_WHO: Final = "Which model answers; of a list, each does."
_COUNT: Final[dict[str, Any]] = {"type": "integer", "minimum": 0}


def description(settings: ServeSettings, *, adapters: Sequence[str] = ()) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a service with these limits; `adapters` are the models that share a bundle."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tunesmith model service", "version": "1"},
        "paths": {
            "/v1/predict": {"post": _predict(settings, adapters)},
            "/v1/model": {"get": _get("What the model is and can say.", "Model", refusals=(401, 403, 405, 503))},
            "/livez": {"get": _get("The process runs.", "Status", refusals=(403, 405, 503))},
            "/readyz": {"get": _get("New traffic should come here.", "Status", refusals=(403, 405, 503))},
            "/metrics": {"get": _other("Prometheus text.", "text/plain", refusals=(401, 403, 405, 503))},
            "/openapi.json": {"get": _other("This document.", "application/json", refusals=(403, 405, 503))},
            "/": {"get": _other("The playground.", "text/html", refusals=(403, 405, 503))},
        },
        "components": {
            "schemas": _schemas(adapters),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
        "security": [{}, {"bearer": []}, {"header": []}],
    }


def _predict(settings: ServeSettings, adapters: Sequence[str]) -> dict[str, Any]:
    limits = (
        f"At most {settings.max_items} items, {settings.max_characters} characters an item with its pair, "
        f"{settings.max_request_characters} in all, {settings.max_body_bytes} bytes."
    )
    answers = ("OneAnswer", "ManyAnswers", *(("AnswersOfSeveral",) if adapters else ()))
    return {
        "operationId": "predict",
        "summary": "One text, or many, to their answers in the same order.",
        "description": f"{limits} 503 carries Retry-After in seconds.",
        "parameters": [
            {
                "name": "X-Deadline-Ms",
                "in": "header",
                "description": "Answer 504 instead if work has not begun within this many milliseconds.",
                "schema": {"type": "integer", "minimum": 1, "maximum": 600_000},
            },
            {
                "name": "X-Request-ID",
                "in": "header",
                "description": "Comes back in the answer and stands in the log.",
                "schema": {"type": "string", "pattern": "^[A-Za-z0-9-]{1,64}$"},
            },
        ],
        "requestBody": {"required": True, "content": _content("application/json", "PredictRequest")},
        "responses": {
            "200": {
                "description": "The answers.",
                "content": {"application/json": {"schema": {"anyOf": [_ref(kind) for kind in answers]}}},
            }
        }
        | _refusals((400, 401, 403, 405, 408, 413, 415, 422, 500, 503, 504)),
    }


def _get(summary: str, schema: str, *, refusals: tuple[int, ...]) -> dict[str, Any]:
    good = {"200": {"description": summary, "content": _content("application/json", schema)}}
    return {"summary": summary, "responses": good | _refusals(refusals)}


def _other(summary: str, media: str, *, refusals: tuple[int, ...]) -> dict[str, Any]:
    good = {"200": {"description": summary, "content": {media: {}}}}
    return {"summary": summary, "responses": good | _refusals(refusals)}


def _refusals(codes: tuple[int, ...]) -> dict[str, Any]:
    return {str(code): {"description": title_of(code), "content": _content(MEDIA_TYPE, "Problem")} for code in codes}


def _content(media: str, schema: str) -> dict[str, Any]:
    return {media: {"schema": _ref(schema)}}


def _ref(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}


def _object(properties: dict[str, Any], *, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _schemas(adapters: Sequence[str]) -> dict[str, Any]:
    request = PredictRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    definitions = request.pop("$defs")
    del request["properties"]["adapter"]
    if adapters:
        one = {"type": "string", "enum": list(adapters)}
        request["properties"]["adapter"] = {"anyOf": [one, _list(one)], "description": _WHO}
        request["required"] = ["adapter"]
    scores = {"type": "object", "additionalProperties": _SHARE}
    entity = {"start": _COUNT, "end": _COUNT, "label": _TEXT, "text": _TEXT, "confidence": _SHARE}
    document = {"id": _TEXT, "text": _TEXT, "score": _NUMBER, "first_score": _NUMBER}
    reranker = _object({"name": _TEXT, "version": _TEXT, "bundle_sha256": _TEXT}) | {"type": ["object", "null"]}
    answer = {
        "label": _TEXT,
        "labels": _list(_TEXT),
        "levels": _list(_object({"label": _TEXT, "confidence": _SHARE})),
        "entities": _list(_object(entity)),
        "documents": _list(_object(document, optional=("first_score",))),
        "score": _NUMBER,
        "answer": {"type": ["string", "null"]},
        "start": _COUNT,
        "end": _COUNT,
        "confidence": _SHARE,
        "scores": scores,
        "truncated": {"type": "integer", "minimum": 1},
    }
    envelope = {"model": _TEXT, "version": _TEXT, "request_id": _TEXT}
    own = {"adapter": _TEXT} if adapters else {"reranker_version": _TEXT}
    several = {"anyOf": [_object({"result": _ref("Answer")}), _object({"results": _list(_ref("Answer"))})]}
    by_name = {"type": "object", "additionalProperties": several}
    place = _object({"path": _TEXT, "message": _TEXT})
    problem = {"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT, "request_id": _TEXT}
    example = _object({"text": _TEXT, "pair": {"type": ["string", "null"]}})
    about = {
        "task": {"type": ["string", "null"]},
        "pairs": {"type": "boolean"},
        "labels": _list(_TEXT),
        "examples": _list(example),
    }
    limits = ("items", "characters", "request_characters", "body_bytes")
    model = {
        "name": _TEXT,
        "state": _TEXT,
        "version": {"type": ["string", "null"]},
        "bundle_sha256": {"type": ["string", "null"]},
        **about,
        "reranker": reranker,
        "adapters": _list(_object({"name": _TEXT, "version": _TEXT} | about)),
        "limits": _object({name: {"type": "integer", "minimum": 1} for name in limits}),
    }
    return {
        **definitions,
        "PredictRequest": request | {"oneOf": [{"required": ["text"]}, {"required": ["items"]}]},
        "Answer": _object(answer, optional=tuple(answer)),
        "OneAnswer": _object(envelope | own | {"result": _ref("Answer")}, optional=("reranker_version",)),
        "ManyAnswers": _object(envelope | own | {"results": _list(_ref("Answer"))}, optional=("reranker_version",)),
        **({"AnswersOfSeveral": _object(envelope | {"adapters": by_name})} if adapters else {}),
        "Problem": _object(problem | {"errors": _list(place)}, optional=("errors",)),
        "Status": _object({"status": _TEXT}),
        "Model": _object(model),
    }
