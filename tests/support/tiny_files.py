"""Small checkpoints written by hand: safetensors, sharded folders and GGUF files of a few bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from checker.core.records import ModelSource

CONFIG = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 4, "vocab_size": 10}


def safetensors_bytes(shapes: Mapping[str, Sequence[int]]) -> bytes:
    header, position = {}, 0
    for name, shape in shapes.items():
        length = 4
        for size in shape:
            length *= size
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [position, position + length]}
        position += length
    return with_header(header, position)


def with_header(header: object, data: int) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(data)


def stack_shapes(blocks: int, prefix: str = "model.layers.") -> dict[str, Sequence[int]]:
    shapes: dict[str, Sequence[int]] = {"model.embed_tokens.weight": (10, 4)}
    for block in range(blocks):
        shapes[f"{prefix}{block}.mlp.weight"] = (4, 4)
    return shapes


def write_model(folder: Path, blocks: int = 2, config: Mapping[str, Any] = CONFIG) -> ModelSource:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(dict(config)))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(safetensors_bytes(stack_shapes(blocks)))
    return ModelSource("directory", path=str(folder))


def write_sharded(folder: Path) -> ModelSource:
    source = write_model(folder)
    (folder / "model.safetensors").unlink()
    names = list(stack_shapes(2))
    shards = {"model-00001-of-00002.safetensors": names[:2], "model-00002-of-00002.safetensors": names[2:]}
    for shard, held in shards.items():
        (folder / shard).write_bytes(safetensors_bytes({name: stack_shapes(2)[name] for name in held}))
    write_index(folder, {name: shard for shard, held in shards.items() for name in held})
    return source


def write_index(folder: Path, weight_map: object) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def gguf_text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def gguf_bytes(entries: Sequence[bytes], tensors: Sequence[bytes], data: int, version: int = 3) -> bytes:
    body = struct.pack("<4sIQQ", b"GGUF", version, len(tensors), len(entries)) + b"".join(entries) + b"".join(tensors)
    return body + bytes(-len(body) % 32) + bytes(data)


def entry(key: str, kind: int, value: bytes) -> bytes:
    return gguf_text(key) + struct.pack("<I", kind) + value


def tensor_info(name: str, shape: Sequence[int], kind: int = 0, offset: int = 0) -> bytes:
    dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return gguf_text(name) + dimensions + struct.pack("<IQ", kind, offset)


NAMED = [
    entry("general.architecture", 8, gguf_text("llama")),
    entry("llama.block_count", 4, struct.pack("<I", 2)),
    entry("llama.embedding_length", 4, struct.pack("<I", 4)),
    entry("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 3) + gguf_text("a") + gguf_text("") + gguf_text("ü")),
]
BLOCKS = [tensor_info("blk.0.w", (4, 2)), tensor_info("blk.1.w", (4, 2), offset=32)]
