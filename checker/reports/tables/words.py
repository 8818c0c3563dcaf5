"""The words a report uses, and what they mean to a reader who sees them for the first time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from checker.core.rule import Outcome

# A verdict is a mark and a word, never a colour alone.
MARKS: Mapping[str, str] = {"pass": "✓", "fail": "✗", "open": "○", "na": "–"}
OUTCOMES: Mapping[str, str] = {"pass": "Pass", "fail": "Fail", "open": "Open"}
VERDICTS: Mapping[str, str] = {"supported": "pass", "contradicted": "fail", "open": "open"}
CONCLUSIONS: Mapping[Outcome, str] = {
    "pass": "passed",
    "fail": "failed",
    "open": "open",
    "not_applicable": "not applicable",
}


@dataclass(frozen=True)
class Section:
    """A section of the report: its anchor, its heading and its short name in the contents."""

    name: str
    heading: str
    short: str


SECTIONS: tuple[Section, ...] = (
    Section("claims", "Claims and the protocols behind them", "Claims"),
    Section("released", "What is released", "What is released"),
    Section("tasks", "Scores on tasks", "Tasks"),
    Section("training", "Over training", "Over training"),
    Section("regime", "Regime", "Regime"),
    Section("arms", "What removing layers costs", "Cost of removal"),
    Section("removed", "Which blocks each method removes", "Blocks removed"),
    Section("distances", "Distances over depth", "Distances"),
    Section("matrix", "Pairs beyond neighbours", "Pair matrix"),
    Section("kinds", "Distances per kind of prompt", "Kinds of prompt"),
    Section("deletions", "Deleting single blocks", "Single deletions"),
    Section("agreement", "Whether the methods agree", "Agreement"),
    Section("stability", "Whether selections hold on other prompts", "Stability"),
    Section("findings", "Findings", "Findings"),
    Section("contracts", "Contracts and digests", "Contracts"),
    Section("cost", "Cost of this audit", "Cost"),
    Section("environment", "Environment", "Environment"),
    Section("reading", "How to read this", "How to read this"),
    Section("not-tested", "What was not tested", "Not tested"),
)


@dataclass(frozen=True)
class Word:
    """A word, the section where it is used, and what it means."""

    word: str
    section: str
    meaning: str


GLOSSARY: tuple[Word, ...] = (
    Word("Checkpoint", "released",
         "A further model that was measured as it is, with its own weights, blocks and tokenizer. A claim that names "
         "it is decided by its own figures."),
    Word("Raw removal", "released",
         "The model's own blocks without those that the checkpoint lacks, and nothing else. What healing, merging or "
         "retraining added is the difference between the two."),
    Word("Bits per byte", "released",
         "NLL of the scored tokens per UTF-8 byte of them, in bits. It does not depend on how tokenizers cut text."),
    Word("Retained", "tasks",
         "A score over the model's own. Above chance, the score of guessing is taken from both first: of a model that "
         "knows little, most of what is retained may be luck."),
    Word("Gained and lost", "tasks",
         "Documents that it alone gets right, and documents that the model alone gets right. Only they tell the two "
         "apart, so the interval of the difference rests on them."),
    Word("Block", "deletions",
         "One residual block of the decoder stack, numbered from 0. Removing layers means removing blocks."),
    Word("Replacement", "distances",
         "A test that asks whether one block's weights can stand in another's place. It is directed: 3←4 runs block "
         "4 in position 3 too. The larger of the two directions counts as the distance of the pair."),
    Word("Interchange", "distances",
         "A test that asks whether two blocks may swap places. A small distance says that they are reorderable, not "
         "that either is replaceable."),
    Word("Deletion", "deletions",
         "The block and its slot are left out. Neither of the two tests measures this: blocks that commute or have "
         "equal weights pass both tests, and deleting one of them can still cost much."),
    Word("Distance", "distances",
         "KL divergence, in nats, of the next-token distribution from the unchanged model's, averaged over "
         "positions and then over prompts. 0 means no change."),
    Word("kl_ratio", "regime",
         "Interchange distance over replacement distance. A ratio below a half is common even in untrained models, "
         "which is why the metric regime never stands alone."),
    Word("Metric regime", "regime",
         "What the two distances say together over all neighbouring pairs: low (both small), reversed (interchange "
         "is the larger), divergent (replacement is large, interchange much smaller), high (replacement is large), "
         "or open."),
    Word("Removal regime", "regime",
         "What the measured costs say: whether the layers that one test chose are cheaper to remove than those of "
         "the other. A gap in the metric need not be a gap here."),
    Word("Arm", "arms",
         "One method at one budget (number of blocks removed), with the cost of its removal set: the increase in "
         "perplexity under one evaluation contract."),
    Word("Ties", "arms",
         "Symmetric scores tie the two members of a pair, and how the tie is broken can decide the result. Every "
         "resolution is measured, up to 16, and the arm is given as a range."),
    Word("Random control", "arms",
         "Removal sets drawn at random under the same constraints. p is (1 + draws not costlier) / (1 + draws): how "
         "often chance does as well."),
    Word("Evaluations", "arms",
         "How many layouts and passes a method looked at before it chose: what the choice cost."),
    Word("Regret", "arms",
         "What an arm costs above the best of all sets under the same constraints, in nats per token; the best is "
         "found by trying every set on the selection text."),
    Word("Native form", "native",
         "A method under the constraints of its own paper. Every other arm is matched: chosen under the same "
         "constraints as all others of its comparison. The two are never mixed."),
    Word("Rank agreement", "agreement",
         "How far two methods put the blocks into the same order, by Spearman's and by Kendall's rank correlation: "
         "+1 is the same order, 0 none, −1 the opposite one."),
    Word("Settled", "stability",
         "A selection is settled where the prompts at hand tell the last block in from the first one out."),
    Word("Admits", "claims",
         "A protocol admits a removal where every removed block has a partner that stays, at a distance below the "
         "threshold even at the upper end of its interval."),
    Word("Predicts", "claims",
         "A protocol predicts where, on this checkpoint, its block scores go with the cost of deleting single "
         "blocks."),
    Word("Selects", "claims",
         "How often the protocol would have chosen this very set. That is where a set comes from, not support for "
         "it."),
    Word("Backs", "claims",
         "A protocol backs a removal claim where it admits and predicts; it backs a redundancy claim where its "
         "distance is below the bound at the upper end."),
    Word("Interval", "arms",
         "Where the value would plausibly lie on other texts of this sort, given the units measured (prompts for "
         "distances, windows for costs). Neighbouring units that go together count as fewer: so many independent ones "
         "would say as much, and fewer than 8 such effective units give no interval."),
    Word("Scope", "claims",
         "A claim of scope contract is about this very text and is decided on the value. One of scope population is "
         "about texts like it and is decided on the unfavourable end of the interval."),
    Word("Contract", "contracts",
         "Everything that fixes a number: text, tokenizer, windows, positions, number format. Figures under "
         "different digests are not comparable, which is not the same as divergent."),
    Word("Verdict", "claims",
         "supported ✓, contradicted ✗, or open ○ where the evidence does not decide. Open is never counted as "
         "support."),
)  # fmt: skip
