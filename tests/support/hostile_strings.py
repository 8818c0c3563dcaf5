"""Strings that try to leave the place where a report shows them, and reports full of them."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import reports_sample as samples
from reports_every import every_method
from reports_page import each_string

from checker import reports
from checker.core import resources

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "](javascript:alert(1)) ![x](https://evil.example/x.png) https://evil.example www.evil.example",
    "a|b `code` **bold** _it_\n# heading\n- item\n<b>\r\n[ref]: https://evil.example",
    "\x1b[31mred\x1b]0;title\x07\x9b2J \x08\x08 \u202etxt.exe\u2066 \u200b\u2028next \ud800",
    "{{ 7 * 7 }} {% raw %} ${7*7} @everyone",
    '"onmouseover="alert(1)" style="x:y" </style></title></svg>',
    "::error file=x::a failure that nobody had\n::stop-commands::x\x00 ##[error]another %0A::add-mask::x",
    "]]></failure><failure>&lt;&#0; <?xml version='1.0'?> --> {0} [a](1)",
)


def plain(every: bool = False) -> dict[str, Any]:
    return every_method(blocks=12, budgets=(1, 2), draws=3) if every else samples.small()


def hostile(payload: str, every: bool = False) -> dict[str, Any]:
    """A sample with the payload in every string that the schema leaves free."""
    report = plain(every)
    report["contracts"]["scoring"]["kinds"] = {payload: 2}
    changed = each_string(report, lambda text, path: payload)
    schema = json.loads((resources.schemas() / "report.schema.json").read_text(encoding="utf-8"))
    for error in jsonschema.Draft202012Validator(schema).iter_errors(changed):
        new, old = changed, report
        *way, last = error.absolute_path
        for step in way:
            new, old = new[step], old[step]
        new[last] = old[last]
    reports.check(changed)
    return changed
