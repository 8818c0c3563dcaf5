"""Makes text from outside safe to show: in a terminal, in HTML and in Markdown.

Titles, claims, model names and messages come from audit files and checkpoints, which anyone may have written.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

# Joiners spell words in several scripts, and cannot reorder or hide text.
_JOINERS = "\u200c\u200d"
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_BREAKS = re.compile(r"[\t\n\v\f\r\x85\u2028\u2029]+")
_FIGURE = r"[+\u2212]?[\d.,]+(?:\u00a0×\u00a010[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?"
# An interval is left as it is, unless what follows could make a link of it.
_INTERVAL = re.compile(rf"\[{_FIGURE},[ \u00a0]{_FIGURE}\](?![(:\[])")
_SPECIAL = re.compile(r"[\\`*<|~$\[\]]|&(?=[#\w])|(?<!\w)_|_(?!\w)")
_BLOCK_START = re.compile(r"^(?:[-+=](?=\s|=|-|$)|[#>]|\d+(?=[.)](?:\s|$)))")
_AUTOLINK = re.compile(r"(?i)\b(https?|ftp|mailto|xmpp):|\b(www)\.")
_MENTION = re.compile(r"(?<!\w)@(?=\w)")
_LONGEST_LINE = 200  # characters of a text from outside
_WORD_JOINER = "\u2060"
# GitHub's runner reads what a job prints: `::` begins a command at the start of a line, `##[` wherever it stands.
_COMMAND = re.compile(r"^([^\S\n]*):(?=:)|##(?=\[)", re.MULTILINE)


def visible(text: str) -> str:
    """One line of text in which nothing acts: controls, terminal escapes and bidi marks become ``⟨U+001B⟩``."""
    if text.isprintable():  # nearly every text, known without looking at each letter
        return text
    return "".join(_show(character) for character in _BREAKS.sub(" ", text))


def one_line(text: object, longest: int = _LONGEST_LINE) -> str:
    """Text from outside on one line, cut, without control characters and what else is not printable."""
    # A text that is never shown whole need not be looked at whole.
    letters = "".join(letter if letter.isprintable() else " " for letter in str(text)[: 4 * longest])
    line = " ".join(letters.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def clean(value: Any) -> Any:
    """A copy of a JSON value with `visible` applied to every string, keys of mappings included."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(key): clean(item) for key, item in value.items()}
    return [clean(item) for item in value] if isinstance(value, list | tuple) else value


def markdown(value: object) -> str:
    """Text that GitHub shows letter for letter: no markup, HTML, table cell, link, mention or formula comes of it."""
    text = visible(str(value))
    parts, position = [], 0
    for match in _INTERVAL.finditer(text):
        parts += [_escape(text[position : match.start()]), match[0]]
        position = match.end()
    escaped = _BLOCK_START.sub(_escape_start, "".join([*parts, _escape(text[position:])]))
    return _COMMAND.sub(lambda match: f"{match[0][:-1]}\\{match[0][-1]}", escaped)


def json_text(text: str) -> str:
    """JSON text in which hidden characters are written as ``\\uXXXX``; its meaning stays the same."""
    shown = "\n".join(line if line.isprintable() else _escaped(line) for line in text.split("\n"))
    return shown.replace("##[", "##\\u005b")  # a `#` stands in strings alone


def no_command(text: str) -> str:
    """Plain text in which GitHub's runner finds no workflow command, when a job prints it."""
    return _COMMAND.sub(lambda match: f"{match[0]} ", text)


def markup(text: str) -> str:
    """HTML or XML in which GitHub's runner finds no workflow command; its meaning stays the same."""
    return _COMMAND.sub(lambda match: f"{match[0][:-1]}&#{ord(match[0][-1])};", text)


def _show(character: str) -> str:
    return f"⟨U+{ord(character):04X}⟩" if _hidden(character) else character


def _hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN and character not in _JOINERS


def _escape(text: str) -> str:
    text = _SPECIAL.sub(lambda match: "\\" + match[0], text)
    text = _AUTOLINK.sub(lambda match: f"{match[1]}\\:" if match[1] else f"{match[2]}\\.", text)
    return _MENTION.sub("@" + _WORD_JOINER, text)


def _escape_start(match: re.Match[str]) -> str:
    return match[0] + "\\" if match[0].isdigit() else "\\" + match[0]


def _escaped(line: str) -> str:
    return "".join(json.dumps(character)[1:-1] if _hidden(character) else character for character in line)
