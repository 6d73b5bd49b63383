"""Shared by the routes: how they answer, and how OpenAPI shows an answer by example."""

from typing import Annotated, Any

import orjson
from fastapi import Path, Response, Security
from fastapi.security import HTTPBearer

Responses = dict[int | str, dict[str, Any]]

# For OpenAPI alone, so that its readers can be told a secret: others check it.
ADMIN_TOKEN = Security(HTTPBearer(scheme_name="admin token", auto_error=False))
API_KEY = Security(HTTPBearer(scheme_name="API key", auto_error=False))

_WHY = {
    400: ("The request is at fault", "inputs[0].shape: got [1, 63], expected [-1, 64], -1 standing for any"),
    401: ("The token or key is missing or wrong; see WWW-Authenticate",
          "API key: missing, expected Authorization: Bearer KEY"),
    403: ("Administration is off, or not here, or not for this page", "administration is off: no admin token is set"),
    404: ("No such model or version", "Request for unknown model: 'x' is not found"),
    409: ("The version on disk is refused, and the model answers as before",
          "model 'x' answers as before, since what is on disk is refused: version 2: …"),
    413: ("The body is over its limit", "body: got 80000000 bytes, expected at most 67108864 bytes"),
    415: ("The model takes no such body", "body: got text/csv, expected one of image/png, image/jpeg"),
    429: ("The queue is full; see Retry-After", "model 'x' is overloaded: its queue holds 64 rows, which is its limit"),
    501: ("Understood, and not offered", "shared memory is not offered"),
    503: ("Not ready", "model 'x' is not ready: it is loading"),
    504: ("The deadline passed", "model 'x': the deadline of 50 ms passed before the answer"),
}  # fmt: skip


Schema = dict[str, Any]
"""JSON Schema, as OpenAPI takes it."""

Version = Annotated[
    str, Path(description="a whole number above 0", json_schema_extra={"pattern": "^[1-9][0-9]{0,17}$"})
]
"""A version in a path. It is shown only; `parse_version` words the refusal of another."""

_ERROR: Schema = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}


class Json(Response):
    """A JSON answer, encoded by orjson; keeps the order of keys."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The body."""
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def shows(
    example: Any,
    *errors: int,
    schema: Schema | None = None,
    media_type: str = "application/json",
    **also: Any,
) -> Responses:
    """The `responses` of a route: its answer by example, and each error that it may give.

    `also`: examples of the answer in other media types, by their names in `takes`. An example of None is no body; its
    route needs `response_class=Response`, or FastAPI shows JSON.
    """
    shown: Responses = {200: {"description": "Success"}}
    if example is not None:
        content = {media_type: {"schema": schema or _schema_of(example), "example": example}}
        content |= {
            _MEDIA[name]: {"schema": _schema_of(other), "example": other} for name, other in also.items()
        }
        shown[200]["content"] = content
    for status in errors:
        why, message = _WHY[status]
        shown[status] = {
            "description": why,
            "content": {"application/json": {"schema": _ERROR, "example": {"error": message}}},
        }
    return shown


def takes(schema: Schema | None = None, *, required: bool = True, **examples: Any) -> dict[str, Any]:
    """`openapi_extra` with a body by media type: JSON of this `schema` where the name is `json`, else given as is."""
    content: dict[str, Any] = {_MEDIA[name]: {"example": example} for name, example in examples.items()}
    if schema is not None:
        content[_MEDIA["json"]]["schema"] = schema
    return {"requestBody": {"required": required, "content": content}}


def _schema_of(example: Any) -> Schema:
    kinds: dict[type, str] = {dict: "object", list: "array", str: "string"}
    return {"type": kinds[type(example)]}


_MEDIA = {
    "json": "application/json",
    "octets": "application/octet-stream",
    "png": "image/png",
    "text": "text/plain",
    "form": "multipart/form-data",
}
