"""Trains a narrow GPT-NeoX of 12 blocks from its first weights on, and keeps the steps of its training to audit.

It learns `audits/data/training.txt`, the only text that anything here is trained on, in some minutes on two cores.
Tokenizer and model are made anew with fixed seeds. Each step is a folder as the Trainer of transformers leaves it,
with the optimizer's state beside the weights, which an audit does not read.

    python benchmarks/series.py OUT [steps]      # default: 0,8,24,48,96,192,384,768
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

from checker.core import resources

STEPS = (0, 8, 24, 48, 96, 192, 384, 768)
WINDOWS, TOKENS, SEED = 4, 128, 0
RATE, WARM = 1e-3, 100  # the highest rate, and steps until it is reached
VOCABULARY = 1024


def main(out: Path, steps: Sequence[int]) -> None:
    text = (resources.audits() / "data" / "training.txt").read_text(encoding="utf-8")
    tokenizer = tokenizer_of(text)
    ids = torch.tensor(tokenizer(text, verbose=False)["input_ids"])
    torch.manual_seed(SEED)
    torch.set_num_threads(1)  # products this small gain nothing from threads that wait for each other
    model = GPTNeoXForCausalLM(config())
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{parameters:,} parameters, {len(ids):,} tokens of text")
    train(model, tokenizer, ids, sorted(steps), out)


def config() -> GPTNeoXConfig:
    return GPTNeoXConfig(
        vocab_size=VOCABULARY,
        hidden_size=96,
        num_hidden_layers=12,
        num_attention_heads=4,
        intermediate_size=384,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=0,
    )


def tokenizer_of(text: str) -> PreTrainedTokenizerFast:
    """Byte pairs of the text itself."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(text.splitlines(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>", model_max_length=256
    )


def train(model: Any, tokenizer: Any, ids: torch.Tensor, steps: Sequence[int], out: Path) -> None:
    """Trains to the last of ``steps`` on windows drawn at random, and keeps the model at each of them."""
    generator, began = torch.Generator().manual_seed(SEED), time.monotonic()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / WARM) * (1.0 - 0.9 * step / max(1, steps[-1]))
    )
    loss = torch.tensor(float("nan"))
    for step in range(steps[-1] + 1):
        if step in steps:
            keep(model, tokenizer, optimizer, step, out / f"checkpoint-{step}")
            print(f"step {step}: {loss.item():.3f} nats per token, {time.monotonic() - began:.0f} s", flush=True)
        starts = torch.randint(len(ids) - TOKENS, (WINDOWS,), generator=generator)
        batch = torch.stack([ids[start : start + TOKENS] for start in starts])
        loss = model.train()(input_ids=batch, labels=batch, use_cache=False).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()


def keep(model: Any, tokenizer: Any, optimizer: Any, step: int, folder: Path) -> None:
    """A folder as the Trainer leaves it."""
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    torch.save(optimizer.state_dict(), folder / "optimizer.pt")
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}), encoding="utf-8")


if __name__ == "__main__":
    places = dict(enumerate(sys.argv[1:]))
    main(Path(places[0]), [int(step) for step in places[1].split(",")] if 1 in places else STEPS)
