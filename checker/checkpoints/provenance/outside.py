"""What surrounds a checkpoint's block stack, held against its base: embeddings, norm, head, and the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, Literal

from checker.checkpoints.config import COUNTS, cut_settings
from checker.checkpoints.provenance.weights import READABLE, Checkpoint, compare, quantised, read
from checker.checkpoints.tensors import Placed, Tensor
from checker.core.layouts import Layout

Role = Literal["embeddings", "norm", "head", "other"]
Fate = Literal["identical", "cast", "quantised", "retrained", "tied", "absent", "added", "open"]

# Of a configuration: what says nothing of the weights, and what is listed even where nothing is wrong with it.
_ASIDE = frozenset({
    "architectures", "auto_map", "dtype", "quantization_config", "text_config", "torch_dtype", "transformers_version",
    "use_cache",
})  # fmt: skip
_SIZES = ("vocab_size", "hidden_size", "n_embd", "d_model")  # listed even where nothing is wrong with them
_HEADS = ("lm_head", "embed_out", "output")
_EMBEDDINGS = ("embed", "embd", "wte", "wpe")
_NORMS = ("norm", "ln_f", "ln_")


@dataclass(frozen=True)
class Outside:
    """A tensor outside of the block stack, and what became of it."""

    role: Role
    name: str  # in the checkpoint, or in the base where it is absent there; empty for a head that is tied in both
    state: Fate
    change: float | None = None  # Frobenius norm of the difference over that of the base's
    note: str = ""

    @property
    def touched(self) -> bool:
        """Whether it holds other values than the base's, or may do so."""
        return self.state in ("retrained", "absent", "added", "open")


@dataclass(frozen=True)
class Setting:
    """A field of the configuration, what it should be by the weights and the base, and whether it is so."""

    field: str
    found: Any
    expected: Any

    @property
    def agrees(self) -> bool:
        return bool(self.found == self.expected)


def outside(base: Checkpoint, checkpoint: Checkpoint) -> list[Outside]:
    """Every tensor outside of the two block stacks, in the order of roles; each is read once or twice."""
    tensors = list(_tensors(base, checkpoint))
    if not any(_role(placed) == "head" for placed in (*base.outside.values(), *checkpoint.outside.values())):
        tensors.append(Outside("head", "", "tied", note="to the embeddings"))
    order = ("embeddings", "norm", "head", "other")
    return sorted(tensors, key=lambda each: (order.index(each.role), each.name))


def _tensors(base: Checkpoint, checkpoint: Checkpoint) -> Iterator[Outside]:
    names = {_renamed(name, base, checkpoint): placed for name, placed in base.outside.items()}
    for name, source in names.items():
        if name in checkpoint.outside:
            yield _fate(source, checkpoint.outside[name])
        elif _role(source) == "head" and (tied := _embeddings(checkpoint, source)):
            yield _tied(source, tied, "stored in the base, tied to the embeddings here")
        else:
            yield Outside(_role(source), source.tensor.name, "absent")
    for name, placed in checkpoint.outside.items():
        if name in names:
            continue
        if _role(placed) == "head" and (tied := _embeddings(base, placed)):
            yield _tied(tied, placed, "tied to the embeddings in the base, stored here")
        else:
            yield Outside(_role(placed), name, "added")


def _renamed(name: str, base: Checkpoint, checkpoint: Checkpoint) -> str:
    """The name that a tensor of the base has where only what all names start with is another."""
    if base.root == checkpoint.root or name in checkpoint.outside or not name.startswith(base.root):
        return name
    return checkpoint.root + name.removeprefix(base.root)


def _role(placed: Placed) -> Role:
    name = placed.tensor.name.removesuffix(".weight").removesuffix(".bias")
    if name.rpartition(".")[2] in _HEADS:
        return "head"
    if len(placed.tensor.shape) == 2 and any(word in name for word in _EMBEDDINGS):
        return "embeddings"
    return "norm" if any(word in name for word in _NORMS) else "other"


def _embeddings(checkpoint: Checkpoint, head: Placed) -> Placed | None:
    """The embeddings that a head of this shape is tied to."""
    fitting = (each for each in checkpoint.outside.values() if each.tensor.shape == head.tensor.shape)
    return next((each for each in fitting if _role(each) == "embeddings"), None)


def _tied(source: Placed, placed: Placed, note: str) -> Outside:
    """A head that only one of the two stores, against what the other uses in its place."""
    fate = _fate(source, placed)
    state = "tied" if fate.state == "identical" else fate.state
    name = placed.tensor.name if _role(placed) == "head" else source.tensor.name
    return Outside("head", name, state, fate.change, note)


def _fate(source: Placed, placed: Placed) -> Outside:
    """What became of one tensor."""
    role, name, ours, theirs = _role(placed), placed.tensor.name, placed.tensor, source.tensor
    if ours.shape != theirs.shape:
        return Outside(role, name, "open", note=f"shape {list(ours.shape)}, and {list(theirs.shape)} in the base")
    if read(placed, 1).digest == read(source, 1).digest:
        return Outside(role, name, "identical", 0.0)
    if packed := next((tensor.kind for tensor in (ours, theirs) if tensor.kind not in READABLE), None):
        return Outside(role, name, "open", note=f"stored as {packed}, which is compared by digest alone")
    difference = compare(placed, [(source, 1.0)])
    change = sqrt(difference.squares / difference.reference) if difference.reference else None
    if difference.through is None and difference.within:
        return Outside(role, name, "quantised", change, f"to {quantised(placed)}")
    if difference.through is None:
        return Outside(role, name, "retrained", change)
    return Outside(role, name, "cast", change, f"to {difference.through}")


def settings(base: Checkpoint, checkpoint: Checkpoint, layout: Layout | None) -> list[Setting]:
    """The fields that speak of blocks, vocabulary and width, and all others that are not the base's.

    Fields that only one of the two configurations has are its library's defaults and left out, unless cutting blocks
    should have changed them. Without a layout what depends on slots is left out.
    """
    ours, blocks = checkpoint.config, len(checkpoint.blocks)
    expected = {**base.config, **_vocabulary(base, checkpoint)}
    count = dict.fromkeys([name for name in COUNTS if name in ours][:1], blocks)
    cut: dict[str, Any] = {}
    if layout is not None:
        # Blocks beyond those of the base have no slots.
        cut = cut_settings(base.config, len(base.blocks), layout.slots)
    elif blocks != len(base.blocks):
        per_block = cut_settings(base.config, len(base.blocks), range(min(1, len(base.blocks) - 1)))
        expected = {name: value for name, value in expected.items() if name not in per_block}
    expected |= cut | count
    return [*_numbering(checkpoint), *_fields(ours, expected, base.config, cut)]


def _fields(
    ours: Mapping[str, Any], expected: Mapping[str, Any], theirs: Mapping[str, Any], cut: Mapping[str, Any]
) -> Iterator[Setting]:
    for name in sorted(expected):
        value = expected[name]
        if name in _ASIDE or name.startswith("_") or (name in COUNTS and name not in ours):
            continue
        if name not in ours:
            if name in cut and not _uniform(value):
                yield Setting(name, None, value)
            continue
        if ours[name] != value or name in cut or name in _SIZES or name in COUNTS or name == "tie_word_embeddings":
            yield Setting(name, ours[name], value)


def _uniform(value: Any) -> bool:
    """Whether a list says the same of every block, which a configuration may leave to its default."""
    return isinstance(value, list) and all(item == value[0] for item in value)


def _numbering(checkpoint: Checkpoint) -> Iterator[Setting]:
    """The numbers in the tensors' own names, where they have gaps: no library loads such a checkpoint."""
    numbers = list(checkpoint.blocks)
    if numbers != list(range(len(numbers))):
        yield Setting("block numbers", numbers, list(range(len(numbers))))


def _vocabulary(base: Checkpoint, checkpoint: Checkpoint) -> dict[str, int]:
    """The vocabulary's size: the base's, and the rows by which the embeddings are more or fewer.

    Embeddings may have more rows than the vocabulary, and may be narrower than the blocks: their shape alone says
    neither size.
    """
    stated, tables = base.config.get("vocab_size"), [_table(checkpoint), _table(base)]
    if type(stated) is not int or None in tables:
        return {}
    ours, theirs = (table.shape[0] for table in tables if table is not None)
    return {"vocab_size": stated + ours - theirs}


def _table(checkpoint: Checkpoint) -> Tensor | None:
    """The embeddings of tokens, by their name, or where there is one tensor of embeddings."""
    tables = [placed.tensor for placed in checkpoint.outside.values() if _role(placed) == "embeddings"]
    named = [tensor for tensor in tables if "embed_tokens" in tensor.name or "wte" in tensor.name] or tables
    return named[0] if len(named) == 1 else None
