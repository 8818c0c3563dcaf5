"""Cuts blocks out of SmolLM2-135M and heals what is left for some minutes, to have a checkpoint to audit.

Written are two folders: `cut`, the removal alone, and `healed`, trained afterwards on `audits/data/training.txt`, the
only text that anything here is trained on. Windows are drawn with a fixed seed; every parameter is trained.

    python benchmarks/heal.py OUT [blocks] [steps] [rate]      # default: 3,7,17 60 1e-4
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import torch

from checker.checkpoints import files as checkpoints
from checker.core import resources
from checker.core.layouts import Layout
from checker.measure import models
from checker.measure.blocks import find_stack
from checker.measure.cut_checkpoint import save
from checker.spec import load

WINDOWS, TOKENS, SEED = 4, 256, 0
WARM = 5  # steps until the full rate


def main(out: Path, blocks: list[int], steps: int, rate: float) -> None:
    files = checkpoints.locate(load.check("smollm2-135m").audit.model)
    tokenizer = models.load_tokenizer(files)
    model = models.load_model(files, "float32", torch.device("cpu"))
    layout = Layout.base(len(find_stack(model))).without(blocks)
    save(model, tokenizer, layout, out / "cut")
    healed: Any = models.load_model(checkpoints.locate(source(out / "cut")), "float32", torch.device("cpu"))
    text = (resources.audits() / "data" / "training.txt").read_text(encoding="utf-8")
    heal(healed, torch.tensor(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]), steps, rate)
    healed.save_pretrained(out / "healed")
    tokenizer.save_pretrained(out / "healed")


def source(folder: Path) -> Any:
    from checker.core.records import ModelSource

    return ModelSource("directory", path=str(folder.resolve()))


def heal(model: Any, ids: torch.Tensor, steps: int, rate: float) -> None:
    """Trains every parameter on windows of the text, drawn at random."""
    generator, began = torch.Generator().manual_seed(SEED), time.monotonic()
    model.train().requires_grad_(True)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + 1) / WARM) * (1.0 - step / steps)
    )
    for step in range(steps):
        starts = torch.randint(len(ids) - TOKENS, (WINDOWS,), generator=generator)
        batch = torch.stack([ids[start : start + TOKENS] for start in starts])
        loss = model(input_ids=batch, labels=batch, use_cache=False).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 10 == 0 or step == steps - 1:
            print(f"step {step}: {loss.item():.3f} nats per token, {time.monotonic() - began:.0f} s")
    model.eval().requires_grad_(False)


if __name__ == "__main__":
    places = dict(enumerate(sys.argv[1:]))
    main(
        Path(places[0]),
        [int(block) for block in places.get(1, "3,7,17").split(",")],
        int(places.get(2, "60")),
        float(places.get(3, "1e-4")),
    )
