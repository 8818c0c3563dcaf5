"""The importers: one module for each kind of file, and this register of them."""

from __future__ import annotations

from collections.abc import Mapping

from checker.importers.card import CARD, MODEL_FOLDER
from checker.importers.harness import HARNESS
from checker.importers.mergekit import MERGEKIT
from checker.importers.pruneme import PRUNEME
from checker.importers.shape import Importer
from checker.importers.tables import CSV, JSON

IMPORTERS: Mapping[str, Importer] = {
    importer.name: importer for importer in (CSV, JSON, MERGEKIT, CARD, MODEL_FOLDER, HARNESS, PRUNEME)
}
