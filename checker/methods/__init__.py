"""One module per way of scoring. A method asks for quantities and never knows who measures them.

Each module exposes ``METHOD``. A method gives block scores (a low score says: remove first), or whole removal sets.
"""

from __future__ import annotations

from checker.methods import deletion, interchange, random, replacement
from checker.methods.shape import Method

METHODS: dict[str, Method] = {
    module.METHOD.name: module.METHOD for module in (interchange, replacement, deletion, random)
}
PROTOCOLS = ("replacement", "interchange")
