"""The policy in force: what an audit file, the policies it extends and the command line say, nearest first."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any, Literal, TypedDict, cast

from checker.core import resources
from checker.core.canonical import from_json
from checker.core.errors import InvalidAudit
from checker.core.records import COMPLETENESS, BuiltOn, Location, Policy, Waiver
from checker.spec import document as documents
from checker.spec import schema
from checker.spec.document import Document, Where

LONGEST = 8  # policies that one may be built on, each on the next
OPTION = "--policy "
READY = "ready/"  # before the places of ready policies: no base name of a file has a slash
_OF_ONE = ("extends", "rules", "version", "waivers")  # keys whose value a policy does not just take over


@dataclass(frozen=True)
class Layer:
    """One policy of a chain: the document it stands in, and where in it."""

    document: Document
    where: Where
    name: str = ""  # of the ready policy or the file; empty for the one that the chain begins with
    ready: bool = False

    def section(self) -> Mapping[str, Any]:
        section = self.document.get(*self.where)
        return section if isinstance(section, Mapping) else {}  # of anything else the schema's check complains

    def built_on(self) -> BuiltOn:
        """How reports name it."""
        digest = hashlib.sha256(self.document.text.encode()).hexdigest()
        return BuiltOn(self.name, digest, self.ready, self.section().get("version"))


def ready() -> tuple[str, ...]:
    """The names of the policies that come with the package."""
    return tuple(sorted(path.stem for path in _folder().glob("*.yaml")))


@cache
def policy_schema() -> dict[str, Any]:
    """The JSON schema of a policy file: the audit file's own definition of a policy."""
    definitions = schema.audit_schema()["$defs"]
    return {**definitions["policy"], "$defs": definitions}


def load(name: str) -> Policy:
    """The policy of a file or of a ready one's name; InvalidAudit holds every mistake in it and in what it extends.

    A relative path starts at the working directory.
    """
    label = Location(OPTION + name)
    document = Document(label.file, Path.cwd(), data={"extends": name})
    document.values = {(): label, ("extends",): label}
    chain = layers(document, ())
    if document.mistakes:
        raise InvalidAudit(document.mistakes)
    return merged(chain)


def layers(document: Document, where: Where = ("policy",)) -> tuple[Layer, ...]:
    """The policy at ``where`` and those it is built on, nearest first; their mistakes are added to the document's."""
    chain = [Layer(document, where)]
    if where and chain[0].section().get("waivers"):
        found, expected = "waivers in an audit file's policy", "those of the audit file, or of a policy file"
        remedy = "move them to `waivers` of the audit file"
        document.complain((*where, "waivers"), found, expected, remedy, key=(*where, "waivers"))
    files: list[Path] = []
    while (reference := chain[-1].document.sound(*chain[-1].where, "extends")) is not None:
        file = _file(chain[-1], reference)
        if file is None or not _may_follow(chain, files, file):
            break
        name = _label(chain[-1], reference)
        following = _read(document, file, name)
        if following is None:
            break
        files.append(file)
        chain.append(Layer(following, (), PurePath(name).name, not _is_path(reference)))
    document.mistakes += [mistake for layer in chain[1:] for mistake in layer.document.mistakes]
    return tuple(chain)


def merged(chain: Iterable[Layer]) -> Policy:
    """The policy that a chain without mistakes comes to. The nearest value counts, a list as a whole; a family's level
    goes before those of its rules farther away."""
    chain = tuple(chain)
    values: dict[str, Any] = {}  # whole numbers and lists as YAML has them
    rules: dict[str, str] = {}
    sources: dict[str, str] = {}
    for layer in reversed(chain):
        own: Mapping[str, str] = layer.section().get("rules", {})
        for hidden in [rule for rule in rules if rule.partition("/")[0] in own]:
            del rules[hidden], sources[f"rules.{hidden}"]
        rules |= own
        sources |= {f"rules.{rule}": _origin(layer, "rules", rule) for rule in own}
        further = {key: value for key, value in layer.section().items() if key not in _OF_ONE}
        values |= further
        sources |= {key: _origin(layer, key) for key in further}
    policy = from_json(Policy, {**values, "rules": rules, "sources": sources})
    nearest = next((layer for layer in chain if "waivers" in layer.section()), chain[0])
    return replace(
        policy,
        waivers=tuple(waiver.without_folder for waiver in waivers(nearest.document, (*nearest.where, "waivers"))),
        commanded=len(chain) > 1 and _commanded(chain[0]),
        extends=tuple(layer.built_on() for layer in chain[1:]),
    )


def waivers(document: Document, where: Where = ("waivers",)) -> tuple[Waiver, ...]:
    """The waivers of a document without mistakes."""
    return tuple(
        Waiver(**{**document.get(*item), "expires": str(document.get(*item, "expires"))}, location=document.place(item))
        for item in document.items(*where)
    )


class PolicyRow(TypedDict):  # the policy in force as report.json publishes it
    fail_on: Literal["note", "warning", "error", "never"]
    rules: Mapping[str, str]
    required_methods: Sequence[str]
    required_budgets: Sequence[int]
    minimum_windows: int | None
    maximum_interval_width_percent: float | None
    minimum_confidence: float | None
    maximum_margin: float | None
    maximum_within: float | None
    minimum_resamples: int | None
    minimum_pairs: float | None
    minimum_draws: int | None
    maximum_waivers: int | None
    maximum_waiver_days: int | None
    waivers: Sequence[PolicyWaiverRow]
    commanded: bool
    extends: Sequence[BuiltOnRow]
    sources: Mapping[str, str]


class PlaceRow(TypedDict):
    file: str
    line: int
    column: int


class PolicyWaiverRow(TypedDict):  # of a policy file
    rule: str
    claim: str | None
    reason: str
    expires: str
    location: PlaceRow


class BuiltOnRow(TypedDict):
    name: str
    sha256: str
    ready: bool
    version: int | None


def row(policy: Policy) -> PolicyRow:
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(policy).items()}
    return cast(PolicyRow, values)


def built_on(rows: Iterable[BuiltOnRow]) -> str:
    """The policies that one is built on, nearest first, as reports name them; empty where there is none."""
    return ", ".join(str(BuiltOn(**row)) for row in rows)


def set_by(policy: Policy, rule: str) -> str:
    """Whose policy gives a rule its level, in words."""
    place = policy.source(rule) or ""
    if place.startswith(documents.OVERRIDE):
        return "a level that --set gives"
    if place.startswith(READY):
        return f"the policy {place.removeprefix(READY).partition(':')[0]}"
    files = [base.name for base in policy.extends if not base.ready and place.startswith(f"{base.name}:")]
    return f"the policy file {files[0]}" if files else "the audit's own policy"


def unknown_rules(policy: Policy, known: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The keys of ``policy.rules`` that set nothing, each with what was expected and what to do."""
    slugs = set(known)
    families = {slug.partition("/")[0] for slug in slugs}
    for rule in policy.rules:
        if rule == COMPLETENESS:
            yield rule, "its own level, error, as an incomplete run never passes; take it out of the policy"
        elif rule not in slugs | families:
            near = schema.closest(rule, sorted(slugs | families))
            remedy = f"did you mean {near!r}?" if near else "`pruneaudit rules` lists them"
            yield rule, f"a rule or a family of rules that exists; {remedy}"


def _folder() -> Path:
    return resources.audits() / "policies"


def _is_path(reference: str) -> bool:
    """Whether a policy is named by its path. A bare name never is: no file at hand can pose as a ready policy."""
    return "/" in reference or "\\" in reference or PureWindowsPath(reference).suffix in (".yaml", ".yml")


def _file(layer: Layer, reference: str) -> Path | None:
    """The file that ``extends`` names; None, and a mistake at its place, where there is none."""
    where = (*layer.where, "extends")
    if not _is_path(reference):
        if reference in ready():
            return _folder() / f"{reference}.yaml"
        near = schema.closest(reference, ready())
        remedy = f"did you mean `{near}`?" if near else "choose one of these, or give the path of a file"
        expected = f"{schema.enumerate_words(ready())}, or a path that ends in .yaml"
        layer.document.complain(where, f"`{reference}`, which is not a ready policy", expected, remedy)
        return None
    file = layer.document.resolve(where, reference)
    try:
        exists, fits = file.exists(), file.is_file()
    except OSError:  # a name the system cannot take, a folder that may not be entered
        exists = fits = False
    if fits:
        return file
    start = "the working directory" if _commanded(layer) else "the folder of the file that names them"
    problem = "is no file" if exists else f"does not exist (relative paths start at {start})"
    layer.document.complain(where, f"`{reference}`, which {problem}", "a policy file", "correct the path")
    return None


def _may_follow(chain: list[Layer], files: list[Path], file: Path) -> bool:
    """Whether a chain may go on with a file; a mistake where it leads back or is too long."""
    last, where = chain[-1].document, (*chain[-1].where, "extends")
    reference = f"`{last.get(*where)}`"
    if file in files:
        remedy = "take one `extends` of the circle away"
        last.complain(where, f"{reference}, which leads back here", "policies that end somewhere", remedy)
    elif len(files) == LONGEST:
        further = f"policy number {LONGEST + 1} of a chain, {reference}"
        last.complain(where, further, f"at most {LONGEST}", "build on fewer policies")
    else:
        return True
    return False


def _commanded(layer: Layer) -> bool:
    """Whether it is the command line that says what a policy extends."""
    return layer.document.place((*layer.where, "extends")).file.startswith((documents.OVERRIDE, OPTION))


def _label(layer: Layer, reference: str) -> str:
    """What messages call the policy that a layer extends: a path as seen from where the layer's own file was named."""
    if not _is_path(reference) or _commanded(layer):
        return reference
    return str(PurePath(layer.document.file).parent / reference)


def _read(document: Document, file: Path, name: str) -> Document | None:
    """A policy file, held against its schema; None, and its mistake in ``document``, where it cannot be read."""
    try:
        policy = documents.read(file, name, "a policy", "write keys like `fail_on: warning`")
    except InvalidAudit as error:
        document.mistakes += error.mistakes
        return None
    schema.check(policy, policy_schema())
    return policy


def _origin(layer: Layer, *key: str) -> str:
    """Where a value is set, as reports name it."""
    where = (*layer.where, *key)
    place = layer.document.keys.get(where) or layer.document.place(where)
    if place.file.startswith(documents.OVERRIDE):
        return place.file
    return f"{READY if layer.ready else ''}{place.place}"
