"""Fixtures that tests of several packages use."""

from __future__ import annotations

from command_line import command

__all__ = ["command"]
