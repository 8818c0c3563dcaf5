"""Small llama models as GGUF files, in the arrangement that converters write: names, and rows of queries and keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from torch import nn

_BLOCK = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_AROUND = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def write(model: Any, path: Path, kind: str) -> Path:
    """The model as a GGUF file whose matrices are stored in a type that the package gguf quantises to."""
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([f"t{number}" for number in range(config.vocab_size)])
    for name, tensor in model.state_dict().items():
        values = tensor.float().numpy()
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])
        if heads:
            values = values.reshape(heads, 2, -1, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        if values.ndim < 2 or kind == "F32":
            writer.add_tensor(_named(name), np.ascontiguousarray(values))
        else:
            stored = gguf.GGMLQuantizationType[kind]
            quantised = gguf.quants.quantize(np.ascontiguousarray(values), stored)
            writer.add_tensor(_named(name), quantised, raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _named(name: str) -> str:
    module, _, rest = name.rpartition(".")
    if module in _AROUND:
        return f"{_AROUND[module]}.{rest}"
    _, _, number, part = module.split(".", 3)
    return f"blk.{number}.{_BLOCK[part]}.{rest}"


def quantised(model: nn.Module, kind: str) -> Mapping[str, torch.Tensor]:
    """The values of the matrices that such a file holds, by the model's own names."""
    stored = gguf.GGMLQuantizationType[kind]
    return {
        name: torch.from_numpy(gguf.quants.dequantize(gguf.quants.quantize(tensor.float().numpy(), stored), stored))
        for name, tensor in model.state_dict().items()
        if tensor.dim() == 2
    }
