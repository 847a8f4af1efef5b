"""More than two hundred JSON Schemas: every kind of value that can be asked for, alone and in its usual places."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

NUMBERS: tuple[Schema, ...] = (
    {"type": "integer"},
    {"type": "number"},
    {"type": "integer", "minimum": 0},
    {"type": "integer", "minimum": -5, "maximum": 5},
    {"type": "integer", "exclusiveMinimum": 17, "exclusiveMaximum": 23},
    {"type": "integer", "minimum": 1, "maximum": 65535},
    {"type": "integer", "maximum": -1},
    {"type": "integer", "multipleOf": 5},
    {"type": "integer", "multipleOf": 3, "minimum": 9, "maximum": 300},
    {"type": "number", "minimum": 0, "maximum": 1},
    {"type": "number", "exclusiveMinimum": -1.5, "exclusiveMaximum": 1.5},
    {"type": "number", "minimum": 36.6},
)
STRINGS: tuple[Schema, ...] = (
    {"type": "string"},
    {"type": "string", "minLength": 1},
    {"type": "string", "maxLength": 5},
    {"type": "string", "minLength": 3, "maxLength": 8},
    {"type": "string", "maxLength": 0},
    {"type": "string", "pattern": "^[A-Z]{2}[0-9]{3}$"},
    {"type": "string", "pattern": "colou?r"},
    {"type": "string", "pattern": "^(\\d{1,3}\\.){3}\\d{1,3}$"},
    {"type": "string", "pattern": '^[\\\\"/]+$', "maxLength": 4},
    {"type": "string", "format": "date"},
    {"type": "string", "format": "time"},
    {"type": "string", "format": "date-time"},
    {"type": "string", "format": "duration"},
    {"type": "string", "format": "uuid"},
    {"type": "string", "format": "email"},
    {"type": "string", "format": "hostname"},
    {"type": "string", "format": "ipv4"},
    {"type": "string", "format": "ipv6"},
    {"type": "string", "format": "uri"},
)
NAMED: tuple[Schema, ...] = (
    {"type": "boolean"},
    {"type": "null"},
    {"const": "fixed"},
    {"const": 4.25},
    {"const": {"nested": [1, "two", None]}},
    {"enum": ["red", "green", "blue"]},
    {"enum": ["红色", "绿色", "蓝色"]},
    {"enum": ["😀", "naïve", 'a "quoted" \\ word', "line\nbreak", "<|im_end|>", "<think>"]},
    {"enum": [1, "one", True, None, [], {}]},
    {"enum": ["a", "ab", "abc"]},
    {"type": ["string", "null"]},
    {"type": ["integer", "boolean"]},
)
STRUCTURES: tuple[Schema, ...] = (
    {"type": "object"},
    {"type": "object", "additionalProperties": False},
    {"type": "object", "additionalProperties": {"type": "integer"}},
    {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1, "maxProperties": 3},
    {"type": "object", "patternProperties": {"^x-": {"type": "integer"}}, "additionalProperties": False},
    {"type": "object", "required": ["a", "b"]},
    {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
        "additionalProperties": {"type": "boolean"},
    },
    {
        "type": "object",
        "properties": {"name": {"type": "string"}, "年龄": {"type": "integer"}, 'q"uote': {"type": "null"}},
        "required": ["年龄", 'q"uote'],
        "additionalProperties": False,
    },
    {"type": "array"},
    {"type": "array", "maxItems": 0},
    {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 4},
    {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 1},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False, "minItems": 2},
    {"type": "array", "prefixItems": [{"type": "boolean"}], "items": {"type": "null"}, "maxItems": 3},
    {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "integer"}}]},
    {"oneOf": [{"type": "string", "maxLength": 3}, {"type": "boolean"}]},
    {"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 9}]},
    {"allOf": [{"required": ["a"]}, {"properties": {"a": {"type": "integer"}}}], "type": "object"},
)
WHOLE: tuple[Schema, ...] = (
    {},
    {
        "$defs": {
            "tree": {"type": "object", "properties": {"value": {"type": "integer"}, "left": {"$ref": "#/$defs/tree"}}}
        },
        "$ref": "#/$defs/tree",
    },
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Person",
        "description": "Somebody",
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 20, "description": "In full"},
            "born": {"type": "string", "format": "date"},
            "tags": {"type": "array", "items": {"enum": ["friend", "work"]}, "maxItems": 3},
            "address": {
                "type": "object",
                "properties": {
                    "street": {"type": "string", "maxLength": 20},
                    "zip": {"type": "string", "pattern": "^\\d{5}$"},
                },
                "required": ["street", "zip"],
                "additionalProperties": False,
            },
        },
        "required": ["name", "born", "tags", "address"],
        "additionalProperties": False,
    },
    {
        "type": "object",
        "properties": {
            "action": {"enum": ["Tap", "Swipe", "Type", "Finish"]},
            "element": {
                "type": "array",
                "items": {"type": "integer", "minimum": 0, "maximum": 999},
                "minItems": 2,
                "maxItems": 2,
            },
        },
        "required": ["action", "element"],
        "additionalProperties": False,
    },
    {
        "anyOf": [
            {
                "type": "object",
                "properties": {"kind": {"const": "circle"}, "radius": {"type": "number"}},
                "required": ["kind", "radius"],
                "additionalProperties": False,
            },
            {
                "type": "object",
                "properties": {"kind": {"const": "square"}, "side": {"type": "number"}},
                "required": ["kind", "side"],
                "additionalProperties": False,
            },
        ]
    },
)


def corpus() -> list[Schema]:
    """Every value alone, in an array, as a property that is wanted or may be missing, and beside null."""
    schemas = list(WHOLE)
    for value in (*NUMBERS, *STRINGS, *NAMED, *STRUCTURES):
        schemas += [
            value,
            {"type": "array", "items": value, "maxItems": 3},
            {"type": "object", "properties": {"value": value}, "required": ["value"], "additionalProperties": False},
            {
                "type": "object",
                "properties": {"first": {"type": "boolean"}, "second": value},
                "additionalProperties": False,
            },
        ]
    return schemas
