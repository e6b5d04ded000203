"""Messages of the management services with random fields: mostly nonsense, sometimes nearly right."""

import random
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from tests.desk import CARD_NUMBER

TEXTS: Final = (
    "",
    " ",
    "Travel",
    "5812",
    "3000-3299",
    "x" * 300,
    "\x00",
    "\ud7ff\U0001f4b3",
    "'; DROP TABLE cards; --",
    "a@example.com",
    "USD",
    "US",
    "98101",
    "WA",
    "timezone",
    '"UTC"',
    "{",
    "[[[[",
    "null",
    "1e999",
    "created_at desc",
    CARD_NUMBER,
)
NUMBERS: Final = (0, 1, 2, 3, -1, 7, 100, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63))


def message_for(method: MethodDescriptor, chance: random.Random, ids: list[int]) -> Any:
    """A message that the method may be called with. Nothing that exists is purged."""
    message = GetMessageClass(method.input_type)()
    if "Purge" in method.name:
        message.id = chance.choice(NUMBERS[1:7])
        return message
    fill(message, chance, ids)
    if "update_mask" in message.DESCRIPTOR.fields_by_name and chance.random() < 0.8:
        fields = message.DESCRIPTOR.fields[0].message_type.fields
        message.update_mask.paths[:] = [chance.choice(fields).name]
    return message


def fill(message: Any, chance: random.Random, ids: list[int]) -> Any:
    for field in message.DESCRIPTOR.fields:
        if chance.random() < 0.3:
            continue
        if field.message_type is not None:
            inner = getattr(message, field.name)
            fill(inner.add() if field.is_repeated else inner, chance, ids)
        elif field.is_repeated:
            names = [one.name for one in message.DESCRIPTOR.fields] if field.name == "paths" else TEXTS
            getattr(message, field.name).extend(chance.choices(names, k=chance.randrange(3)))
        else:
            setattr(message, field.name, value_of(field, chance, ids))
    return message


def value_of(field: FieldDescriptor, chance: random.Random, ids: list[int]) -> Any:
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return chance.choice(TEXTS)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return chance.random() < 0.5
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return chance.choice((0, 1, 2, 3, 4, 99))
    numbers = [*NUMBERS, *ids * 4]
    small = field.cpp_type == FieldDescriptor.CPPTYPE_INT32
    return chance.choice([one for one in numbers if not small or abs(one) <= 2**31 - 1])
