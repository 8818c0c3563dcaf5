"""A model's config.json: what it calls the number of blocks, and which of its settings change where blocks are cut."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

# What configurations call the number of blocks, the list of their kinds, and the number of leading blocks of one kind.
COUNTS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
KINDS = ("layer_types", "layers_block_type", "block_types")
_LEADING = ("max_window_layers", "first_k_dense_replace", "num_dense_layers")
_OF_BLOCKS = re.compile(r"layer|block|_idxs?$")
_HEADS, _WIDTHS = ("num_attention_heads", "n_head", "num_heads"), ("hidden_size", "n_embd", "d_model", "n_embed", "dim")
_LARGEST = 1 << 31
_LONGEST = 100_000  # entries of a list that a pattern stands for
_NOT_OF_BLOCKS = re.compile(r"token_ids?$|_tokens$|^architectures$")


def of_text(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A configuration with the settings of its language model on top, where it holds them apart."""
    text = config.get("text_config")
    return {**config, **text} if isinstance(text, dict) else config


def announced(config: Mapping[str, Any]) -> int | None:
    """The number of blocks that a configuration states, by a number or by a list of their kinds; None without."""
    stated = next((config[name] for name in COUNTS if config.get(name) is not None), None)
    kinds = next((config[name] for name in KINDS if isinstance(config.get(name), list)), None)
    if stated is None and kinds:
        return len(kinds)
    return stated if type(stated) is int else None


def cache_values(config: Mapping[str, Any], blocks: int) -> int | None:
    """Numbers per token in the cache of keys and values of plain attention in every block.

    None where some blocks do something else, keys and values are compressed, or heads are not counted as usual.
    """
    kinds: list[Any] = next((config[name] for name in KINDS if isinstance(config.get(name), list)), [])
    if config.get("kv_lora_rank") or any("attention" not in str(kind) or "linear" in str(kind) for kind in kinds):
        return None
    heads = next((config[name] for name in _HEADS if config.get(name)), None)
    hidden = next((config[name] for name in _WIDTHS if config.get(name)), None)
    shared = config.get("num_key_value_heads") or config.get("num_kv_heads")
    if type(heads) is not int or type(hidden) is not int:
        return None
    keys = 1 if config.get("multi_query") is True else shared or heads
    width = config.get("head_dim") or hidden // heads
    whole = type(keys) is int and type(width) is int and 0 < keys < _LARGEST and 0 < width < _LARGEST
    return 2 * blocks * keys * width if whole else None


def cut_settings(settings: Mapping[str, Any], blocks: int, slots: Sequence[int]) -> dict[str, Any]:
    """Those settings of a configuration that change where only ``slots`` of its ``blocks`` blocks are left.

    These are the number of blocks, numbers of leading blocks of one kind, lists of one entry per block, patterns that
    make up such a list, and lists and mappings of blocks' numbers.
    """
    new = {name: _cut(name, value, blocks, slots) for name, value in settings.items() if not name.startswith("_")}
    return {name: value for name, value in new.items() if value != settings[name]}


def _cut(name: str, value: Any, blocks: int, slots: Sequence[int]) -> Any:
    if name in COUNTS:
        return len(slots) if value == blocks else value
    if name in _LEADING and type(value) is int:
        return sum(slot < value for slot in slots)
    if isinstance(value, dict) and _OF_BLOCKS.search(name) and set(map(str, value)) <= set(map(str, range(blocks))):
        entries = {str(key): entry for key, entry in value.items()}
        return {str(number): entries[str(slot)] for number, slot in enumerate(slots) if str(slot) in entries}
    if not isinstance(value, (list, tuple)) or _NOT_OF_BLOCKS.search(name):
        return value
    kind = type(value)
    if _OF_BLOCKS.search(name) and _are_numbers(value, blocks):
        return kind(number for number, slot in enumerate(slots) if slot in value)
    if len(value) == blocks:
        return kind(value[slot] for slot in slots)
    if len(pattern := _spread(value)) == blocks:
        return kind([[[pattern[slot] for slot in slots], 1]])
    return value


def _are_numbers(value: Sequence[Any], blocks: int) -> bool:
    """Whether a list holds numbers of blocks: distinct, ascending. A flag per block repeats itself."""
    whole = all(type(item) is int and 0 <= item < blocks for item in value)
    return whole and list(value) == sorted(set(value))


def _spread(value: Sequence[Any]) -> list[Any]:
    """The list that a pattern like ``[[["global", "local"], 2]]`` stands for; empty where it is none."""
    pairs = all(isinstance(item, (list, tuple)) and len(item) == 2 for item in value)
    if not pairs or not all(isinstance(part, (list, tuple)) and type(times) is int for part, times in value):
        return []
    if sum(len(part) * times for part, times in value) > _LONGEST:  # a few bytes can stand for any number of entries
        return []
    return [entry for part, times in value for _ in range(times) for entry in part]
