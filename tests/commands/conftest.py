"""What the tests of the commands share."""

from __future__ import annotations

from command_line import command as command
