"""A pack as in-toto statements about the model: what the rules found, and what became of each claim. Unsigned.

Two statements (https://in-toto.io/Statement/v1) about the model's root digest (artifacts.json), which is also the
subject of a signature by the OpenSSF's model-signing, and about those of the audit's checkpoints: whoever has only a
released checkpoint finds what was decided of it by its own digest.

* ``test-result``: the standard predicate, https://in-toto.io/attestation/test-result/v0.1. A test is a rule. It failed
  where a finding that counts under the audit's policy failed or is open; it warned where one failed or is open that is
  waived or below the policy's level; a rule that did not apply is left out. The result is PASSED only where the audit
  passed and nothing warned.
* ``claims``: this package's own predicate, the claims with their verdicts and the figures they rest on.

They stand in two files, because signing tools take one statement at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from checker.core.canonical import canonical
from checker.core.errors import EvidenceMissing
from checker.core.files import write_new
from checker.core.rule import weighs
from checker.judge.form import FindingRow, Report, checkpoints_of
from checker.release.pack import Pack
from checker.release.verify import Verified, stated_artifacts

STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
CLAIMS = "urn:pruneaudit:attestation:claims:1"
FILES: Mapping[str, str] = {"test-result": "test-result.intoto.json", "claims": "claims.intoto.json"}
UNSIGNED = "unsigned: anybody could have written this statement; only a signed envelope around it says who did"
_RANK = {"passed": 0, "warned": 1, "failed": 2}


def statements(verified: Verified) -> dict[str, dict[str, Any]]:
    """The statements of a pack that reproduces, by name.

    EvidenceMissing where the pack does not know the files of the model, or of a checkpoint.
    """
    pack = verified.pack
    model, checkpoints = stated_artifacts(pack)
    roots = {pack.report["model"]["source"]: model["root"]}
    roots |= {f"checkpoints.{name}": files["root"] for name, files in checkpoints.items()}
    if unknown := [name for name, root in roots.items() if root is None]:
        raise EvidenceMissing.at(
            pack.place("artifacts.json"),
            "no digests of the model's files" if model["root"] is None else f"no digests of the files of {unknown[0]}",
            "those that a run records",
            "run the audit again, which measures nothing twice, and seal it again",
        )
    subject = [{"name": name, "digest": {"sha256": root}} for name, root in roots.items()]
    predicates = {"test-result": (TEST_RESULT, _test_result(pack)), "claims": (CLAIMS, _claims(verified))}
    return {
        name: {"_type": STATEMENT, "subject": subject, "predicateType": kind, "predicate": predicate}
        for name, (kind, predicate) in predicates.items()
    }


def write(made: Mapping[str, dict[str, Any]], to: Path) -> list[Path]:
    """Writes the statements into the folder ``to``; UsageError where one of the files is there already."""
    contents = {to / FILES[name]: canonical(statement).encode() for name, statement in made.items()}
    write_new(contents, "attest", "--to")
    return list(contents)


def _test_result(pack: Pack) -> dict[str, Any]:
    rules: dict[str, list[str]] = {state: [] for state in _RANK}
    for rule, state in _tests(pack.report).items():
        rules[state].append(rule)
    passed = pack.report["outcome"] == "pass"
    return {
        "result": "FAILED" if not passed else "WARNED" if rules["warned"] else "PASSED",
        "configuration": [
            {
                "name": pack.report["audit"]["file"],
                "digest": {"sha256": pack.manifest["files"]["audit.yaml"]["sha256"]},
            },
            {"name": "manifest.json", "digest": {"sha256": pack.digest}},
        ],
        **{f"{state}Tests": rules[state] for state in _RANK},
    }


def _tests(report: Report) -> dict[str, str]:
    """Every rule that applied, and how it came out: the worst of its findings."""
    fail_on = report["policy"]["fail_on"]
    tests: dict[str, str] = {}
    for finding in report["findings"]:
        state = _state(finding, fail_on)
        if state and _RANK[state] >= _RANK[tests.get(finding["rule"], "passed")]:
            tests[finding["rule"]] = state
    return tests


def _state(finding: FindingRow, fail_on: str) -> Literal["passed", "warned", "failed"] | None:
    if finding["outcome"] not in ("fail", "open"):
        return "passed" if finding["outcome"] == "pass" else None
    return "failed" if weighs(finding["level"], finding["waived"], fail_on) else "warned"


def _claims(verified: Verified) -> dict[str, Any]:
    pack, report = verified.pack, verified.pack.report
    contracts: Mapping[str, Any] = report["contracts"]
    return {
        "signature": UNSIGNED,
        "pack": {"digest": {"sha256": pack.digest}, "judged_on": verified.judged_by.day.isoformat()},
        "tool": dict(verified.judged_by.tool),
        "audit": report["audit"],
        "weights": {"sha256": report["model"]["digest"]},
        "checkpoints": {row["name"]: {"sha256": row["digest"]} for row in checkpoints_of(report)},
        "contracts": {name: row and row["digest"] for name, row in contracts.items()},
        "outcome": report["outcome"],
        "summary": report["summary"],
        "claims": report["claims"],
        "waived": [finding for finding in report["findings"] if finding["waived"] is not None],
        "not_tested": report["not_tested"],
    }


def signing(root: str, paths: Sequence[str]) -> list[str]:
    """How to sign the statements with tools that exist, as lines for the terminal.

    cosign signs a statement as it stands, model-signing the files.
    """
    signed = [f"  cosign attest-blob --statement {path} --bundle {path}.sigstore.json" for path in paths]
    checked = [
        f"  cosign verify-blob-attestation --bundle {path}.sigstore.json --digest {root} --digestAlg sha256 "
        f"--type {kind} --certificate-identity WHO --certificate-oidc-issuer ISSUER"
        for path, kind in zip(paths, (TEST_RESULT, CLAIMS), strict=False)
    ]
    return [
        UNSIGNED,
        "to sign them (cosign, of sigstore):",
        *signed,
        "to check them later:",
        *checked,
        "to sign the model itself, under the same digest where the folder holds only the files in artifacts.json:",
        "  model_signing sign FOLDER",
    ]
