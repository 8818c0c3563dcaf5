"""How many blocks and parameters a configuration tells of, where there are no weights to count.

Only of families whose blocks are attention of plain projections, a gated feed-forward of three matrices, and norms.
What a family adds to these stands in a table that tests hold against the library's own models; of every other one, the
configuration tells no number of parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checker.checkpoints.config import announced
from checker.checkpoints.digests import file_sha256
from checker.core.canonical import read_json
from checker.core.words import enumerated

_LARGEST = 1 << 31


@dataclass(frozen=True)
class _Family:
    """What the blocks of a family hold beside its matrices."""

    norms: int = 2  # of the width of the model, per block
    head_norms: str = ""  # of queries and keys: `head`, of the width of a head; `all`, of that of all heads; none
    query_bias: bool | None = None  # of queries, keys and values; None: as `attention_bias` says
    output_bias: bool | None = None  # None: as `attention_bias` says
    ties: bool = False  # whether the head is the embeddings' where the configuration does not say


_FAMILIES: Mapping[str, _Family] = {
    "gemma": _Family(ties=True),
    "gemma2": _Family(norms=4, ties=True),
    "gemma3_text": _Family(norms=4, head_norms="head", ties=True),
    "llama": _Family(),
    "mistral": _Family(query_bias=False, output_bias=False),
    "olmo2": _Family(head_norms="all"),
    "phi3": _Family(query_bias=False, output_bias=False),
    "qwen2": _Family(query_bias=True, output_bias=False),
    "qwen3": _Family(head_norms="head"),
    "smollm3": _Family(ties=True),
}


@dataclass(frozen=True)
class ConfigSizes:
    """What one config.json tells; ``block`` and ``parameters`` are None for the reason that ``unknown`` gives."""

    file: str  # name of the file
    sha256: str
    blocks: int | None
    block: int | None  # parameters of one block
    parameters: int | None  # of the whole model
    unknown: str = ""


def read(path: Path) -> ConfigSizes:
    """CannotRun where the file is no JSON object."""
    config = read_json(path)
    blocks = announced(config)
    sizes = _sizes(config)
    whole = None if blocks is None or isinstance(sizes, str) else blocks * sizes[0] + sizes[1]
    block, unknown = (None, sizes) if isinstance(sizes, str) else (sizes[0], "")
    return ConfigSizes(path.name, file_sha256(path), blocks, block, whole, unknown)


def _sizes(config: Mapping[str, Any]) -> tuple[int, int] | str:
    """The parameters of one block, and of all that stands around the blocks; or why they are not known."""
    kind = config.get("model_type")
    family = _FAMILIES.get(kind) if isinstance(kind, str) else None
    if family is None:
        return f"what a block of {str(kind)[:40]!r} holds is not told by its configuration"
    names = ("hidden_size", "intermediate_size", "num_attention_heads", "vocab_size")
    missing = [name for name in names if not _is_size(config.get(name))]
    if missing:
        return f"the configuration has no whole number for {enumerated(missing)}"
    hidden, inner, heads, vocabulary = (int(config[name]) for name in names)
    shared = heads if config.get("num_key_value_heads") is None else config["num_key_value_heads"]
    width = hidden // heads if config.get("head_dim") is None else config["head_dim"]
    if not (_is_size(shared) and _is_size(width)):
        return "the configuration has no whole number for num_key_value_heads or head_dim"
    queries, keys = heads * width, shared * width
    attention = 2 * hidden * queries + 2 * hidden * keys
    biased = config.get("attention_bias") is True
    attention += (queries + 2 * keys) * (biased if family.query_bias is None else family.query_bias)
    attention += hidden * (biased if family.output_bias is None else family.output_bias)
    forward = 3 * hidden * inner + (2 * inner + hidden) * (config.get("mlp_bias") is True)
    norms = family.norms * hidden + {"": 0, "head": 2 * width, "all": queries + keys}[family.head_norms]
    tied = config.get("tie_word_embeddings", family.ties)
    return attention + forward + norms, vocabulary * hidden * (1 if tied else 2) + hidden


def _is_size(value: object) -> bool:
    return type(value) is int and 0 < value < _LARGEST
