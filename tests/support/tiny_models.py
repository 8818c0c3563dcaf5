"""Tiny random decoders of many families of transformers: nothing is downloaded, and their blocks really differ.

Each family is a model type with the settings that bring out what is special in it: mixed sliding and full layers,
layers without positions, attention scaled by the layer's number, experts, parallel blocks.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before transformers is imported

import torch
from torch import nn
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

BLOCKS = 4
VOCABULARY = 97

COMMON: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "initializer_range": 0.2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
LLAMA = COMMON | {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": BLOCKS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
}
# No head_dim of its own, as many keys as heads.
NEOX = {name: value for name, value in LLAMA.items() if name not in ("head_dim", "num_key_value_heads")}
GPT2 = COMMON | {"n_embd": 32, "n_layer": BLOCKS, "n_head": 4, "n_positions": 64}
MIXED = ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]
SLIDING = {"sliding_window": 5, "layer_types": MIXED}
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}

GEMMA4 = LLAMA | SLIDING | {"global_head_dim": 16, "hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 97}

FAMILIES: dict[str, tuple[str, Mapping[str, Any]]] = {
    "gpt2": ("gpt2", GPT2),
    "gpt2_inverse": ("gpt2", GPT2 | {"scale_attn_by_inverse_layer_idx": True, "reorder_and_upcast_attn": True}),
    "gpt_bigcode": ("gpt_bigcode", GPT2),
    "gpt_neo": (
        "gpt_neo",
        COMMON
        | {"hidden_size": 32, "num_layers": BLOCKS, "num_heads": 4, "max_position_embeddings": 64, "window_size": 5}
        | {"attention_types": [[["global", "local"], BLOCKS // 2]]},
    ),
    "gpt_neox": ("gpt_neox", NEOX),
    "gptj": ("gptj", GPT2 | {"rotary_dim": 4}),
    "codegen": ("codegen", GPT2 | {"rotary_dim": 4}),
    "opt": ("opt", NEOX | {"ffn_dim": 64, "word_embed_proj_dim": 32}),
    "bloom": ("bloom", COMMON | {"hidden_size": 32, "n_layer": BLOCKS, "n_head": 4}),
    "mpt": ("mpt", COMMON | {"d_model": 32, "n_layers": BLOCKS, "n_heads": 4, "max_seq_len": 64}),
    "xglm": ("xglm", COMMON | {"d_model": 32, "num_layers": BLOCKS, "attention_heads": 4, "ffn_dim": 64}),
    "falcon": ("falcon", NEOX | {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "falcon_alibi": ("falcon", NEOX | {"alibi": True, "parallel_attn": False, "multi_query": False}),
    "llama": ("llama", LLAMA),
    "mistral": ("mistral", LLAMA | {"sliding_window": 5}),
    "mixtral": ("mixtral", LLAMA | {"num_local_experts": 4, "num_experts_per_tok": 2, "output_router_logits": True}),
    "qwen2": ("qwen2", LLAMA | SLIDING | {"use_sliding_window": True}),
    "qwen2_moe": (
        "qwen2_moe",
        LLAMA | EXPERTS | {"num_experts": 4, "shared_expert_intermediate_size": 16, "layer_types": None},
    ),
    "qwen3": ("qwen3", LLAMA | {"layer_types": ["full_attention"] * BLOCKS}),
    "qwen3_moe": ("qwen3_moe", LLAMA | EXPERTS | {"num_experts": 4}),
    "gemma": ("gemma", LLAMA),
    "gemma2": ("gemma2", LLAMA | SLIDING | {"query_pre_attn_scalar": 8}),
    "gemma3": ("gemma3_text", LLAMA | SLIDING | {"query_pre_attn_scalar": 8}),
    "phi": ("phi", LLAMA),
    "phi3": ("phi3", LLAMA | {"sliding_window": 5}),
    "olmo": ("olmo", LLAMA),
    "olmo2": ("olmo2", LLAMA),
    "olmo3": ("olmo3", LLAMA | SLIDING),
    "olmoe": ("olmoe", LLAMA | {"num_experts": 4, "num_experts_per_tok": 2}),
    "stablelm": ("stablelm", LLAMA),
    "starcoder2": ("starcoder2", LLAMA),
    "granite": ("granite", LLAMA | {"residual_multiplier": 0.5}),
    "granitemoe": ("granitemoe", LLAMA | {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "cohere": ("cohere", LLAMA | {"logit_scale": 1.0}),
    "cohere2": ("cohere2", LLAMA | SLIDING | {"logit_scale": 1.0}),
    "smollm3": ("smollm3", LLAMA | {"no_rope_layers": [1, 0, 1, 0]}),
    "gpt_oss": ("gpt_oss", LLAMA | SLIDING | {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "exaone4": ("exaone4", LLAMA | SLIDING),
    "glm4": ("glm4", LLAMA),
    "nemotron": ("nemotron", LLAMA),
    "persimmon": ("persimmon", NEOX),
    "lfm2": ("lfm2", LLAMA | {"layer_types": ["conv", "full_attention", "conv", "full_attention"]}),
    "nemotron_h": (  # whose config.json is written without a number of blocks
        "nemotron_h",
        {name: value for name, value in LLAMA.items() if name != "num_hidden_layers"}
        | {"hybrid_override_pattern": "M*M*", "ssm_state_size": 8, "mamba_num_heads": 8, "mamba_head_dim": 8}
        | {"n_groups": 2},
    ),
    "qwen3_next": (
        "qwen3_next",
        LLAMA
        | EXPERTS
        | {"num_experts": 4, "shared_expert_intermediate_size": 16, "linear_num_value_heads": 4}
        | {"linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8}
        | {"layer_types": ["linear_attention", "full_attention", "linear_attention", "full_attention"]},
    ),
    "deepseek_v3": (
        "deepseek_v3",
        NEOX
        | EXPERTS
        | {"num_key_value_heads": 4, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 4}
        | {"qk_nope_head_dim": 4, "v_head_dim": 8, "n_routed_experts": 4, "n_group": 2, "topk_group": 1}
        | {"first_k_dense_replace": 1},
    ),
    "gemma4": ("gemma4_text", GEMMA4),
    "llama4": (
        "llama4_text",
        LLAMA
        | {"num_local_experts": 4, "intermediate_size_mlp": 64, "attention_chunk_size": 8, "moe_layers": [1, 3]}
        | {"layer_types": ["chunked_attention", "full_attention", "chunked_attention", "full_attention"]},
    ),
}

# Later blocks read keys and values of earlier ones, or hidden states are more than one row per token.
REFUSED: dict[str, tuple[str, Mapping[str, Any]]] = {
    "gemma4_shared": ("gemma4_text", GEMMA4 | {"hidden_size_per_layer_input": 8, "num_kv_shared_layers": 2}),
    "gemma3n": (
        "gemma3n_text",
        LLAMA
        | SLIDING
        | {"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": 97, "num_kv_shared_layers": 2}
        | {"laurel_rank": 4, "altup_num_inputs": 2},
    ),
}


def build(family: str, **changes: Any) -> nn.Module:
    """A fresh model of ``family``, the same weights every time, in evaluation mode, without gradients."""
    kind, settings = FAMILIES[family]
    return from_settings(kind, {**settings, **changes})


def from_settings(kind: str, settings: Mapping[str, Any]) -> nn.Module:
    """A model of the model type ``kind``. One-dimensional weights, which start as ones and zeros, are drawn too."""
    config = CONFIG_MAPPING[kind](**settings)
    torch.manual_seed(0)
    model: nn.Module = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@cache
def shared(family: str) -> nn.Module:
    """The model of ``family`` that tests share; whoever changes it must put it back."""
    return build(family)


def token_ids(windows: int, tokens: int, seed: int = 0) -> torch.Tensor:
    """Random token ids (windows, tokens), without the special ones."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, VOCABULARY, (windows, tokens), generator=generator)
