"""Writes docs/api.md from the protobuf files: their comments are the documentation of the wire contract."""
# ruff: noqa: INP001 - a script beside the pages it makes

import sys
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet
from grpc_tools import protoc

ROOT: Final = Path(__file__).parents[1]
PAGE: Final = Path(__file__).with_name("api.md")
_NAMES: Final = ("authorization", "transactions", "history", "management", "identity", "types")
_FILES: Final = tuple(f"authsvc/v1/{name}.proto" for name in _NAMES)
# Field numbers of descriptor.proto, of which the path to a comment is made.
_MESSAGE, _ENUM, _SERVICE, _MEMBER = 4, 5, 6, 2
_HEAD: Final = """# API

Package `authsvc.v1`, over gRPC. This page is generated from [`protos/authsvc/v1`](../protos/authsvc/v1) by `make docs`;
edit the comments there. [Evaluation](evaluation.md) says what the words mean.

Beside it the server answers `grpc.health.v1.Health`, for the names of the services and for the empty name, and, unless
turned off, server reflection.
"""


def page() -> str:
    """The whole page."""
    described = list(_described())
    parts = [_HEAD]
    parts += [part for file in described for part in _services(file)]
    parts += ["## Messages\n", *(part for file in described for part in _messages(file))]
    parts += ["## Enumerations\n", *(part for file in described for part in _enums(file))]
    return "\n".join(parts)


def _described() -> Iterator[FileDescriptorProto]:
    """The files with their comments, which generated code does not keep."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "set"
        includes = [f"-I{ROOT / 'protos'}", f"-I{files('grpc_tools') / '_proto'}"]
        options = [*includes, "--include_source_info", f"--descriptor_set_out={target}"]
        if protoc.main(["protoc", *options, *_FILES]):
            raise SystemExit("the protobuf files do not compile")
        described = FileDescriptorSet.FromString(target.read_bytes())
    yield from sorted(described.file, key=lambda file: _FILES.index(file.name))


class _Comments:
    def __init__(self, file: FileDescriptorProto) -> None:
        self._by_path = {tuple(place.path): place.leading_comments for place in file.source_code_info.location}

    def text(self, *path: int) -> str:
        return "\n".join(line.strip() for line in self._by_path.get(path, "").strip().splitlines())

    def cell(self, *path: int) -> str:
        return self.text(*path).replace("\n", " ").replace("|", "\\|")


def _services(file: FileDescriptorProto) -> Iterator[str]:
    comments = _Comments(file)
    for at, service in enumerate(file.service):
        yield f"## {service.name}\n\n{comments.text(_SERVICE, at)}\n"
        yield "| method | request | answer | what it does |\n|---|---|---|---|"
        for number, method in enumerate(service.method):
            asked = _stream(method.input_type, many=method.client_streaming)
            answered = _stream(method.output_type, many=method.server_streaming)
            text = comments.cell(_SERVICE, at, _MEMBER, number)
            yield f"| `{method.name}` | {asked} | {answered} | {text} |"
        yield ""


def _messages(file: FileDescriptorProto) -> Iterator[str]:
    comments = _Comments(file)
    for at, message in enumerate(file.message_type):
        yield f"### {message.name}\n\n{comments.text(_MESSAGE, at)}\n"
        yield "| # | field | type | meaning |\n|---|---|---|---|"
        for number, field in enumerate(message.field):
            text = comments.cell(_MESSAGE, at, _MEMBER, number)
            yield f"| {field.number} | `{field.name}` | {_type(field, message)} | {text} |"
        yield ""


def _enums(file: FileDescriptorProto) -> Iterator[str]:
    comments = _Comments(file)
    for at, enum in enumerate(file.enum_type):
        yield f"### {enum.name}\n\n{comments.text(_ENUM, at)}\n"
        yield "| # | value | meaning |\n|---|---|---|"
        for number, value in enumerate(enum.value):
            yield f"| {value.number} | `{value.name}` | {comments.cell(_ENUM, at, _MEMBER, number)} |"
        yield ""


def _stream(name: str, *, many: bool) -> str:
    return ("stream of " if many else "") + _link(name)


def _type(field: FieldDescriptorProto, message: Any) -> str:
    scalar = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    name = _link(field.type_name) if field.type_name else f"`{scalar}`"
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"repeated {name}"
    if field.proto3_optional:
        return f"optional {name}"
    return f"{name}, one of `{message.oneof_decl[field.oneof_index].name}`" if field.HasField("oneof_index") else name


def _link(name: str) -> str:
    short = name.removeprefix(".authsvc.v1.").removeprefix(".google.protobuf.")
    return f"`{short}`" if name.startswith(".google.") else f"[`{short}`](#{short.lower()})"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE.name}\n")
