"""Audit files with `published:`: what arrives in the records, what stays out, and who refuses them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from folders import SPECS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from checker.core.errors import InvalidAudit, UsageError
from checker.core.records import Audit, Location
from checker.published import score_files
from checker.published.load import any_audit
from checker.published.printed import Printed
from checker.published.publication import (
    STATEMENTS,
    Blocks,
    Count,
    Extremum,
    Overlap,
    Parameters,
    Publication,
    PValue,
    Ratio,
    Sum,
    Trend,
    Universal,
)
from checker.spec import load as spec
from checker.spec.document import Document
from checker.spec.schema import audit_schema

HEAD = "pruneaudit: 1\npublished:\n  source: {title: A}\n  models: {m: {name: M}}\n"


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> Publication:
    monkeypatch.chdir(SPECS / "accept")
    found = any_audit("published_every_key.yaml")[0]
    assert isinstance(found, Publication)
    return found


def load(folder: Path, block: str) -> Publication:
    (folder / "paper.yaml").write_text(HEAD + block, encoding="utf-8")
    found = any_audit(folder / "paper.yaml")[0]
    assert isinstance(found, Publication)
    return found


def mistakes(folder: Path, block: str, *overrides: str) -> str:
    (folder / "paper.yaml").write_text(HEAD + block, encoding="utf-8")
    with pytest.raises(InvalidAudit) as caught:
        any_audit(folder / "paper.yaml", overrides)[0]
    return str(caught.value).replace(f"{folder}/", "")


# --- what arrives ----------------------------------------------------------------------------------------------------


def test_the_source_and_what_it_names(whole: Publication) -> None:
    source = whole.source
    assert (source.title, source.authors, source.url) == (
        "A made-up paper", ("A. Author", "B. Author"), "https://example.org/paper",
    )  # fmt: skip
    assert (source.revision, source.accessed, type(source.accessed)) == ("2", "2026-11-01", str)
    assert [(model.id, model.name, model.blocks) for model in whole.models.values()] == [
        ("qwen", "Qwen/Qwen3-8B", 36), ("llama", "meta-llama/Llama-3.1-8B", None),
        ("tiny", "made/up", 4),
    ]  # fmt: skip
    contract = whole.contracts["wikitext-5k"]
    assert (contract.words, contract.window, contract.boundary) == (5000, 512, "skip_first")
    assert (contract.special_tokens, contract.unstated) == (None, ("special_tokens",))


def test_baselines_have_a_name_even_where_none_is_given(whole: Publication) -> None:
    printed, archived = whole.baselines
    assert (printed.id, printed.perplexity, printed.archive) == ("baseline-1", Printed.of("12.09"), False)
    assert (archived.id, archived.perplexity, archived.archive) == ("archived", Printed.of("12.1157"), True)
    assert archived.interval == (Printed.of("10.8471"), Printed.of("13.6008"))
    assert whole.baselines_of("qwen", "wikitext-5k") == whole.baselines
    assert whole.baselines_of("qwen", None) == whole.baselines_of("llama", "wikitext-5k") == ()


def test_scores_stand_in_the_file_or_in_one_of_their_own(whole: Publication) -> None:
    inline, filed = whole.scores
    assert inline.by_pair == {(0, 1): Printed.of("0.30"), (0, 2): Printed.of("0.20")}
    assert [row.interval for row in inline.rows] == [None, (Printed.of("0.1"), Printed.of("0.4"))]
    assert (inline.direction, inline.positions, inline.checkpoint) == ("undeclared", "last", "step1000")
    assert list(filed.by_pair) == [(0, 1), (1, 2), (0, 2)]
    assert filed.by_pair[0, 1] == Printed.of("0.7920867800712585")
    assert (filed.direction, filed.interval_of, filed.archive) == ("forward", "mean", True)
    assert list(filed.within(1)) == [(0, 1), (1, 2)]
    assert list(filed.within(None)) == [(0, 1), (1, 2), (0, 2)]
    assert whole.scores_by_id["from-file"] is filed
    assert [name for name, _ in whole.files] == ["scores.csv", "config.json"]


def test_removals_and_the_rules_that_speak_of_them(whole: Publication) -> None:
    full, bare = whole.removals
    assert full.layers == (15, 17, 20)
    assert (full.perplexity, full.increase) == (Printed.of("13.350"), Printed.of("+10.2"))
    assert (full.figure("perplexity"), full.figure("increase")) == (full.perplexity, full.increase)
    assert (full.interval_unit, full.search, full.bold, full.seeds) == ("perplexity", "one_shot", True, 1)
    assert (bare.layers, bare.perplexity, bare.contract, bare.protocol) == (None, None, None, None)
    stated, silent = whole.rules
    assert (stated.spacing, stated.exclude, stated.max_gap, stated.ties) == (1, (0, 35), None, "lower")
    assert (silent.score, silent.symmetrisation, silent.spacing, silent.ties) == (None, None, None, None)
    assert [rule.speaks_of(removal) for rule in whole.rules for removal in whole.removals] == [
        True, False, False, False,
    ]  # fmt: skip


def test_a_rule_speaks_of_its_models_and_protocols_where_the_row_names_none(tmp_path: Path) -> None:
    found = load(tmp_path, """  removals:
    - {id: a, model: m, method: x, protocol: interchange, where: T}
    - {id: b, model: m, method: x, where: T}
  rules:
    - {id: every, where: T}
    - {id: replacements, protocols: [replacement], where: T}
""")  # fmt: skip
    assert [rule.speaks_of(removal) for rule in found.rules for removal in found.removals] == [
        True, False, False, False,
    ]  # fmt: skip


def test_statements_are_of_one_class_per_kind(whole: Publication) -> None:
    assert {type(statement) for statement in whole.statements} == set(STATEMENTS.values())
    kinds = audit_schema()["$defs"]["published"]["properties"]["statements"]["items"]["oneOf"]
    assert [kind["properties"]["kind"]["const"] for kind in kinds] == list(STATEMENTS)
    for kind in kinds:
        record = STATEMENTS[kind["properties"]["kind"]["const"]]
        own = {"of"} if record is Sum else set()  # it says whether the numbers are exact, which they then are
        assert set(kind["properties"]) - own <= {"kind", *record.__dataclass_fields__}


def test_what_statements_say(whole: Publication) -> None:
    never, below = whole.statements_of(Universal)
    assert (never.left, never.relation, never.right, never.gap) == ("inline", "at_most", "from-file", 1)
    assert below.bound == Printed.exactly(Fraction(1, 2)), "a bound is no rounding of another number"
    (count,) = whole.statements_of(Count)
    assert (count.at_least, count.below) == (Printed.exactly(Fraction(1, 10)), Printed.exactly(Fraction(1, 4)))
    ratio, cost = whole.statements_of(Ratio)
    assert (ratio.of, ratio.value, cost.quantity) == (None, Printed.of("2.0"), "perplexity")
    assert [found.at_most for found in whole.statements_of(PValue)][1] == Printed.exactly(Fraction(1, 100))
    assert next(whole.statements_of(Extremum)).pair == (0, 2)
    assert next(whole.statements_of(Overlap)).of == ("t8-3", "bare")
    (blocks,) = whole.statements_of(Blocks)
    assert (blocks.model, blocks.of, blocks.removed, blocks.layers) == ("qwen", "tiny", 32, (2, 3))
    (parameters,) = whole.statements_of(Parameters)
    assert (parameters.fewer, parameters.fewer_percent, parameters.total) == (Printed.of("1.09e9"), None, None)
    (total,) = whole.statements_of(Sum)
    assert (total.parts, total.total) == ((Printed.exactly(18), Printed.exactly(17)), Printed.exactly(35))
    (trend,) = whole.statements_of(Trend)
    assert (trend.figure, trend.of, trend.against) == ("ratio", "geometric_mean", ("from-file", "from-file"))


def test_every_item_has_its_place(whole: Publication) -> None:
    text = whole.text.splitlines()
    for name, place in whole.places.items():
        line = text[place.line - 1]
        assert line[place.column - 1 :].startswith(("{", "id:")), name
        assert name in line or name == "baseline-1"
    assert whole.places["t8-3"] == Location("published_every_key.yaml", 30, 7)
    assert len(whole.places) == 25


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('"12.10"', "12.10"),
        ("12.10", "12.10"),
        ("+2.50", "2.50"),
        ("12", "12"),
        ("1_2.5", "12.5"),
        ("1.20e-3", "1.20e-3"),
    ],
)
def test_a_number_has_the_precision_it_is_written_with(tmp_path: Path, written: str, meant: str) -> None:
    """In quotes or without."""
    found = load(tmp_path, f"  removals: [{{id: r, model: m, method: x, perplexity: {written}, where: T}}]\n")
    assert found.removals[0].perplexity == Printed.of(meant)


def test_an_override_keeps_its_digits_and_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "paper.yaml").write_text(HEAD + "  removals: [{id: r, model: m, method: x, where: T}]\n")
    found = any_audit(tmp_path / "paper.yaml", ["published.removals.0.perplexity=12.10"])[0]
    assert isinstance(found, Publication)
    assert found.removals[0].perplexity == Printed.of("12.10")
    assert found.overrides == (("published.removals.0.perplexity", "12.10"),)


# --- what stays out --------------------------------------------------------------------------------------------------


def test_a_score_file_has_a_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_files, "LARGEST_FILE", 20)
    (tmp_path / "s.csv").write_text("i,j,value\n0,1,0.12345\n")
    block = "  scores: [{id: s, model: m, protocol: interchange, file: s.csv, where: T}]\n"
    assert (
        mistakes(tmp_path, block)
        == "paper.yaml:5:59: found a file of more than 20 bytes; expected at most so many; split it"
    )


def test_many_mistakes_of_a_score_file_are_counted(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("i,j,value\n" + "0,1,x\n" * 30)
    block = "  scores: [{id: s, model: m, protocol: interchange, file: s.csv, where: T}]\n"
    told = mistakes(tmp_path, block).splitlines()
    assert len(told) == 21
    assert told[0] == "s.csv: found 10 further mistakes; expected none; correct those above first"
    assert told[1] == "s.csv:2:5: found `x`; expected a decimal number; correct it"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"\xff\xfe", "found `s.csv`, which is not UTF-8; expected a text file in UTF-8; save it in UTF-8"),
        (b"", "found `s.csv` with another first line; expected the header `i,j,value`, or `i,j,value,low,high`"),
        (b"root:x:0:0\n", "found `s.csv` with another first line;"),
    ],
)
def test_what_is_no_table_is_told_at_its_name(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "s.csv").write_bytes(content)
    block = "  scores: [{id: s, model: m, protocol: interchange, file: s.csv, where: T}]\n"
    assert mistakes(tmp_path, block).startswith(f"paper.yaml:5:59: {found}")


def test_a_byte_order_mark_and_spaces_are_put_up_with(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("\ufeffi, j, value\n 0 , 1 , 0.5 \n", encoding="utf-8")
    found = load(tmp_path, "  scores: [{id: s, model: m, protocol: interchange, file: s.csv, where: T}]\n")
    assert found.scores[0].by_pair == {(0, 1): Printed.of("0.5")}


def test_blanks_are_refused_by_the_command_line_too(tmp_path: Path) -> None:
    block = "  removals: [{id: r, model: m, method: x, where: T}]\n"
    told = mistakes(tmp_path, block, "published.removals.0.increase='FILL-IN: percent'")
    assert "expected a value in the place of this blank" in told


def test_who_needs_a_model_refuses_published_numbers() -> None:
    with pytest.raises(UsageError) as caught:
        spec.check(SPECS / "accept" / "published_minimal.yaml")
    assert str(caught.value) == (
        f"{SPECS / 'accept' / 'published_minimal.yaml'}: found an audit of published numbers; expected one that names "
        "a model; decide it with `pruneaudit judge`, which measures nothing"
    )
    assert isinstance(spec.check(SPECS / "accept" / "minimal.yaml").audit, Audit)


def test_a_document_that_is_no_mapping_is_not_taken_for_one() -> None:
    for data, published in ((["published"], False), ({"published": None}, True)):
        document = Document("a.yaml", Path(), data=data)
        assert spec.Opened(Path("a.yaml"), document, ()).published == published


# --- robustness ------------------------------------------------------------------------------------------------------

_WHOLE = (SPECS / "accept" / "published_every_key.yaml").read_text(encoding="utf-8")
ODD = (
    *(None, True, -1, 0, 10**30, 1.5, float("inf"), "", "x", "0.10", "1e99", "unstated"),
    *([], [1], [[1, 2]], {}, {"a": 1}, {"kind": "count"}, [{"id": "x"}]),
)


def _outcome(path: Path) -> Publication | Audit | InvalidAudit:
    """The audit or the complaint; any other exception fails the test."""
    try:
        return any_audit(path, attached=False)[0]
    except InvalidAudit as error:
        assert all(mistake.found and mistake.expected and mistake.remedy for mistake in error.mistakes)
        return error


def _beside_scores(folder: Path) -> Path:
    """An audit file's place where the file of scores that it names is found."""
    for name in ("accept", "data"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "data" / "scores.csv").write_bytes((SPECS / "data" / "scores.csv").read_bytes())
    return folder / "accept" / "a.yaml"


def _places(value: Any, where: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*where, key)
        yield from _places(item, (*where, key))


PLACES = [place for place in _places(yaml.safe_load(_WHOLE)) if place[0] == "published"]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.integers(0, len(_WHOLE)),
    cut=st.integers(0, 12),
    new=st.text(alphabet="[]{}:-#&*!|>'\"\n ,0eéx", max_size=4),
)
def test_a_damaged_file_is_read_or_rejected_but_never_crashes(tmp_path: Path, place: int, cut: int, new: str) -> None:
    path = _beside_scores(tmp_path)
    path.write_text(_WHOLE[:place] + new + _WHOLE[place + cut :], encoding="utf-8")
    _outcome(path)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), st.sampled_from(ODD)), min_size=1, max_size=3))
def test_odd_values_are_read_or_rejected_but_never_crash(
    tmp_path: Path, changes: list[tuple[tuple[str | int, ...], Any]]
) -> None:
    data = yaml.safe_load(_WHOLE)
    for where, value in changes:
        holder: Any = data
        with suppress(KeyError, IndexError, TypeError):  # an earlier change took the place away
            for step in where[:-1]:
                holder = holder[step]
            holder[where[-1]] = value
    path = _beside_scores(tmp_path)
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    _outcome(path)


# --- configurations --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "found `base.json`, which cannot be read; expected a model's config.json; correct the path"),
        ("[]", "found `base.json`, which cannot be read; expected a model's config.json; correct the path"),
        ("{", "found `base.json`, which cannot be read; expected a model's config.json; correct the path"),
        ('{"num_hidden_layers": 27}', "found 32 blocks; expected 27, as `base.json` says; take `blocks` away, or "
                                      "correct `config`"),
    ],
)  # fmt: skip
def test_a_configuration_that_does_not_fit_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "base.json").write_text(content)
    text = mistakes(tmp_path, "", "published.models.m={name: a, blocks: 32, config: base.json}")
    assert expected in text
    assert text.count("found") == 1


def test_statements_about_a_pruned_model_that_say_nothing_or_too_much(tmp_path: Path) -> None:
    text = mistakes(tmp_path, """  statements:
    - {id: a, kind: blocks, says: A., where: T, model: m, of: m, removed: 4}
    - {id: b, kind: parameters, says: B., where: T, model: m, of: n, fewer: 1.09e9}
    - {id: c, kind: parameters, says: C., where: T, model: m, of: m}
    - {id: d, kind: parameters, says: D., where: T, model: m, of: m, fewer: 1.09e9, total: 7e9}
""")  # fmt: skip
    assert text.count("found `m`, which is the unpruned model; expected another model; correct one") == 2
    assert "found `n`, which `published.models` does not name" in text
    assert "found a statement that gives nothing to check; expected `fewer`, `fewer_percent` or `total`" in text
    assert "found both `fewer` and `total`; expected one number; make two statements of it" in text
