"""The importers: one module for each kind of file, and this register of them."""

from __future__ import annotations

from collections.abc import Mapping

from checker.published.importers.card import CARD, MODEL_FOLDER
from checker.published.importers.harness import HARNESS
from checker.published.importers.importer import Importer
from checker.published.importers.mergekit import MERGEKIT
from checker.published.importers.tables import CSV, JSON

IMPORTERS: Mapping[str, Importer] = {
    importer.name: importer for importer in (CSV, JSON, MERGEKIT, CARD, MODEL_FOLDER, HARNESS)
}
