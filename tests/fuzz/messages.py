"""Messages of any type that protobuf knows, with values that are wrong in every way that the type allows."""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

DEEPEST = 4
NUMBERS = (0, 1, -1, 2, 50, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1, -(2**63), 2**64 - 1)
_RANGES = {
    **dict.fromkeys((FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_ENUM), (-(2**31), 2**31 - 1)),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
TEXTS = (
    "",
    "tiny",
    "Hello",
    "x" * 3000,
    "\0",
    "../../etc/passwd",
    "%s{0}",
    "a\nb",
    "\u202e\U0001f5fc",
    "-1",
    "{",
    "(a+)+$",
)
FRACTIONS = (0.0, 0.5, -1.0, 1e30, float("inf"), float("-inf"), float("nan"))


def messages(descriptor: Descriptor, texts: tuple[str, ...] = TEXTS, depth: int = 0) -> st.SearchStrategy[Message]:
    """Of that type. texts: what strings may be, besides any."""

    @st.composite
    def build(draw: st.DrawFn) -> Message:
        message = GetMessageClass(descriptor)()
        for field in descriptor.fields:
            if not draw(st.booleans()):
                continue
            one = _value(field, texts, depth)
            if one is None:
                continue
            kept = getattr(message, field.name)
            if field.is_repeated and field.message_type and field.message_type.GetOptions().map_entry:
                entry = draw(one)
                if entry.DESCRIPTOR.fields_by_name["value"].message_type is None:
                    kept[entry.key] = entry.value
            elif field.is_repeated:
                kept.extend(draw(st.lists(one, max_size=3)))
            elif field.message_type:
                kept.CopyFrom(draw(one))
            else:
                setattr(message, field.name, draw(one))
        return message

    return build()


def _value(field: FieldDescriptor, texts: tuple[str, ...], depth: int) -> st.SearchStrategy[object] | None:
    if field.message_type:
        return messages(field.message_type, texts, depth + 1) if depth < DEEPEST else None
    if field.cpp_type in _RANGES:
        low, high = _RANGES[field.cpp_type]
        likely = [number for number in NUMBERS if low <= number <= high]
        known = [value.number for value in field.enum_type.values] if field.enum_type else []
        return st.sampled_from([*known, *likely]) | st.integers(low, high)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=100) | st.sampled_from(texts).map(str.encode)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return st.sampled_from(texts) | st.text(max_size=30).filter(lambda text: text.isprintable())
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    return st.sampled_from(FRACTIONS)
