"""Parts that the JSON Schemas of our files share."""

from __future__ import annotations

from typing import Any, Final

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]

TEXT: Schema = {"type": ["string", "number"]}
NAME: Schema = {"type": "string", "minLength": 1}
VALUE: Schema = {"type": ["string", "number", "boolean", "null"]}
MAPPING: Schema = {"type": "object"}
ABOVE_ZERO: Schema = {"type": "number", "exclusiveMinimum": 0}
SHARE_INSIDE: Schema = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
COUNT: Schema = {"type": "integer", "minimum": 1}
NUMBER_FROM_ZERO: Schema = {"type": "integer", "minimum": 0}


def described(schema: Schema, description: str) -> Schema:
    """With what an editor says of it."""
    return {"description": description, **schema}


def an_object(properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    """A mapping with these keys and no others."""
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**found, "required": list(required)} if required else found


def a_list(items: Schema) -> Schema:
    """A list of such items."""
    return {"type": "array", "items": items}


def reference(name: str) -> Schema:
    """A definition of the same schema."""
    return {"$ref": f"#/$defs/{name}"}


def any_of(*schemas: Schema) -> Schema:
    """One of several forms."""
    return {"anyOf": list(schemas)}


def at_least(number: float) -> Schema:
    """A number that is not below another one."""
    return {"type": "number", "minimum": number}


def model_schema() -> Schema:
    """A model: ``connection/model``, or a mapping; it refers to the definition ``price``."""
    properties = {
        "name": TEXT,
        "connection": TEXT,
        "model": TEXT,
        "parameters": MAPPING,
        "price": reference("price"),
    }
    return any_of(NAME, an_object(properties, required=("connection",)))


def price_schema() -> Schema:
    """The price of a model."""
    return an_object(
        {"input_usd": at_least(0), "output_usd": at_least(0)}, required=("input_usd", "output_usd")
    )


def evaluator_schema(more: Schema | None = None) -> Schema:
    """An evaluator: the name of a built-in, or a mapping; it refers to the definition ``model``.

    Args:
        more: Further keys of the mapping.
    """
    kinds = {"flow": TEXT, "builtin": TEXT, "python": TEXT}
    shared = {
        "name": TEXT,
        "column_mapping": MAPPING,
        "parameters": MAPPING,
        "models": a_list(reference("model")),
        "repeats": COUNT,
    }
    said = [
        an_object({kind: kinds[kind], **{key: shared[key] for key in keys}, **(more or {})}, required=(kind,))
        for kind, keys in (
            ("flow", ("name", "column_mapping", "parameters")),
            ("builtin", tuple(shared)),
            ("python", ("name", "column_mapping", "parameters")),
        )
    ]
    return any_of(NAME, *said)
