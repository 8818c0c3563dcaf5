"""One module per way of scoring. A method asks for quantities and never knows who measures them.

Each module exposes ``METHOD``. A method gives block scores (a low score says: remove first), or whole removal sets.
"""

from __future__ import annotations

from checker.selection.methods import (
    angular_distance,
    averaging,
    beam,
    block_influence,
    cka,
    deepest,
    deletion,
    deletion_loss,
    exhaustive,
    interchange,
    laco,
    random,
    replacement,
    sleb,
    taylor,
    worst_first,
)
from checker.selection.methods.method import Method

_MODULES = (
    interchange, replacement, deletion, averaging, block_influence, angular_distance, deepest, cka, deletion_loss, sleb,
    taylor, laco, beam, exhaustive, random, worst_first,
)  # fmt: skip
METHODS: dict[str, Method] = {module.METHOD.name: module.METHOD for module in _MODULES}
