"""Time and memory of `pruneaudit provenance` on checkpoints of a size that one meets.

It writes a base of about 1 GB in a temporary folder (a stack of blocks of random BF16 weights) and four checkpoints
made of it: blocks cut out, cut and cast to F16, cut and trained a little (every weight moved), and cut with two blocks
merged into one. Each is told in a process of its own, whose layout is asserted before the table is printed.

    python benchmarks/provenance.py [gigabytes of the base]
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from checker.checkpoints.provenance.comparison import provenance
from checker.checkpoints.provenance.weights import Array, rounded

BLOCKS, HIDDEN, INNER, VOCABULARY = 24, 1024, 4096, 32_000
REMOVED = (3, 7, 12, 18)
SHAPES = {
    "input_layernorm.weight": (HIDDEN,),
    "mlp.down_proj.weight": (HIDDEN, INNER),
    "mlp.gate_proj.weight": (INNER, HIDDEN),
    "mlp.up_proj.weight": (INNER, HIDDEN),
    "post_attention_layernorm.weight": (HIDDEN,),
    **{f"self_attn.{part}_proj.weight": (HIDDEN, HIDDEN) for part in "kqvo"},
}


def main(gigabytes: float) -> None:
    depth = max(BLOCKS, round(gigabytes * 1e9 / 2 / sum(int(np.prod(shape)) for shape in SHAPES.values())))
    kept = [number for number in range(depth) if number not in REMOVED]
    merged = [[(number, 1.0)] for number in kept]
    merged[1] = [(1, 0.5), (2, 0.5)]
    merged.pop(2)
    alone = [[(number, 1.0)] for number in kept]
    stack = ",".join(map(str, kept))
    cases: list[tuple[str, list[list[tuple[int, float]]], str, float, str]] = [
        ("blocks cut out", alone, "BF16", 0.0, f"({stack})"),
        ("cut and cast to F16", alone, "F16", 0.0, f"({stack})"),
        ("cut and trained", alone, "BF16", 0.01, f"({stack})"),
        ("cut, two merged", merged, "BF16", 0.0, f"({stack.replace('1,2', 'mix(1:.5,2:.5)@1', 1)})"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        size = write(base, [[(number, 1.0)] for number in range(depth)], "BF16", 0.0)
        print(f"a base of {depth} blocks, {size / 1e9:.2f} GB, without {', '.join(map(str, REMOVED))}")
        print(f"{'':24}{'checkpoint':>14}{'seconds':>10}{'processor':>12}{'peak memory':>14}")
        for name, parts, kind, noise, layout in cases:
            other = Path(folder) / "other"
            size = write(other, parts, kind, noise)
            seconds, processor, memory = told(base, other, layout)
            print(
                f"{name:24}{size / 1e9:>11.2f} GB{seconds:>10.1f}{processor:>10.1f} s{memory / 1e6:>11.0f} MB",
                flush=True,
            )


def told(base: Path, other: Path, layout: str) -> tuple[float, float, float]:
    """Seconds, processor seconds and peak memory (bytes) of a process that does nothing else, imports included."""
    start = time.perf_counter()
    command = [sys.executable, __file__, "--tell", str(base), str(other)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["layout"] == layout, f"found {found['layout']}, expected {layout}"
    return time.perf_counter() - start, found["processor"], found["memory"]


def tell(base: Path, other: Path) -> None:
    found = provenance(base, other)
    print(json.dumps({"layout": str(found.layout), "memory": peak_memory(), "processor": time.process_time()}))


def peak_memory() -> int:
    """Bytes. Linux counts what a process had before it became this one into getrusage, so its own table comes first."""
    table = Path("/proc/self/status")
    if table.exists():
        lines = dict(line.split(":", 1) for line in table.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# --- checkpoints -----------------------------------------------------------------------------------------------------


def write(folder: Path, parts: list[list[tuple[int, float]]], kind: str, noise: float) -> int:
    """A checkpoint whose blocks are weighted sums of the base's, with relative noise; the size of its weights."""
    folder.mkdir(exist_ok=True)
    config = {"model_type": "llama", "num_hidden_layers": len(parts), "hidden_size": HIDDEN, "vocab_size": VOCABULARY}
    (folder / "config.json").write_text(json.dumps(config))
    shapes = {f"model.layers.{place}.{name}": shape for place in range(len(parts)) for name, shape in SHAPES.items()}
    shapes["model.embed_tokens.weight"] = (VOCABULARY, HIDDEN)
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * int(np.prod(shape))
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for values in tensors(parts):
            file.write(stored(values + np.float32(noise) * np.roll(values, 1), kind))  # noise of the same size
    return end


def tensors(parts: list[list[tuple[int, float]]]) -> Iterator[Array]:
    """The values of every tensor, in the order of the header."""
    for block in parts:
        for position, shape in enumerate(SHAPES.values()):
            yield sum(weight * drawn(number, position, shape) for number, weight in block)  # type: ignore[misc]
    yield drawn(-1, 0, (VOCABULARY, HIDDEN))


def drawn(number: int, position: int, shape: tuple[int, ...]) -> Array:
    """The base's weights: BF16 values, the same for the same place."""
    generator = np.random.default_rng([number + 1, position])
    return rounded(0.02 * generator.standard_normal(int(np.prod(shape)), dtype=np.float32), "BF16")


def stored(values: Array, kind: str) -> bytes:
    narrow = rounded(values, kind)
    return (narrow.view(np.uint32) >> 16).astype("<u2").tobytes() if kind == "BF16" else narrow.astype("<f2").tobytes()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--tell"]:
        tell(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(float(sys.argv[1]) if sys.argv[1:] else 1.0)
