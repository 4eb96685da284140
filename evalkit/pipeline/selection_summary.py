"""The summary of `select`: duplicates, ties, acceptance and pairs."""

import math
from dataclasses import dataclass, field

from evalkit.pipeline.config import Select
from rewards.selection.pairing import Pairing
from rewards.selection.rejection import RejectionSample


@dataclass
class Acceptance:
    """Running totals of rejection sampling's diagnostics over prompts."""

    prompts: int = 0
    acceptance: float = 0.0
    expected: float = 0.0
    effective: float = 0.0
    lowest_effective: float = math.inf
    below_k: int = 0
    """Prompts whose effective sample size is below the number chosen."""
    passes: int = 0
    most_passes: int = 0
    tried: int = 0
    chosen: int = 0

    def add(self, sample: RejectionSample) -> None:
        """Count one prompt's sample."""
        self.prompts += 1
        self.acceptance += sample.acceptance
        self.expected += sample.expected_acceptance
        self.effective += sample.effective_sample_size
        self.lowest_effective = min(self.lowest_effective, sample.effective_sample_size)
        self.below_k += sample.effective_sample_size < len(sample.indices)
        self.passes += sample.passes
        self.most_passes = max(self.most_passes, sample.passes)
        self.tried += sample.tried
        self.chosen += len(sample.indices)

    def lines(self) -> list[tuple[str, str]]:
        """Return named means over prompts."""
        count = self.prompts
        rates = f"{self.acceptance / count:.4f} of the first pass, {self.expected / count:.4f} expected"
        return [
            ("acceptance", rates),
            (
                "effective sample size",
                f"mean {self.effective / count:.1f}, lowest {self.lowest_effective:.1f}; "
                f"below k for {self.below_k} of {count} prompts",
            ),
            ("passes", f"mean {self.passes / count:.2f}, most {self.most_passes}"),
            ("tried", f"{self.tried} to choose {self.chosen}"),
        ]


@dataclass
class SelectionSummary:
    """Counts of one run, filled prompt by prompt."""

    config: Select
    prompts: int = 0
    candidates: int = 0
    copies: int = 0
    """Candidates merged into an earlier one with the same text."""
    conflicts: int = 0
    """Copies with another score than the kept one."""
    too_few: int = 0
    """Prompts with fewer different responses than k."""
    tied_prompts: int = 0
    tied_candidates: int = 0
    """Candidates tied for a prompt's last places, decided by the seed."""
    acceptance: Acceptance = field(default_factory=Acceptance)
    chosen: int = 0
    pairs: int = 0
    equal_pairs: int = 0
    """Pairs of equal rewards."""
    votes: int = 0
    voteless: int = 0
    """Prompts without an answer among their candidates."""
    written: int = 0

    def add_ties(self, tied: int) -> None:
        """Count one prompt's candidates tied at the last place."""
        self.tied_prompts += tied > 0
        self.tied_candidates += tied

    def add_pairs(self, pairing: Pairing) -> None:
        """Count one prompt's pairs."""
        self.pairs += len(pairing.chosen)
        self.equal_pairs += pairing.equal

    def text(self) -> str:
        """Return the printed summary, a line for each figure."""
        config = self.config
        lines = [
            ("method", config.method),
            ("prompts", f"{self.prompts}"),
            ("candidates", f"{self.candidates}"),
        ]
        lines += self._vote_lines() if config.method.endswith("vote") else self._choice_lines()
        if config.pairs != "none":
            equal = f"{self.equal_pairs} matches of equal reward made none"
            lines.append(("pairs", f"{self.pairs} ({config.pairs}); {equal}"))
        lines.append(("rows written", f"{self.written}"))
        return "\n".join(f"{name:<24}{value}" for name, value in lines)

    def losses(self) -> str:
        """Return why prompts yielded nothing, for the error when none did."""
        reasons = []
        if self.too_few:
            reasons.append(f"{self.too_few} prompts have fewer than k = {self.config.k} different responses")
        if self.voteless:
            reasons.append(f"{self.voteless} prompts have no candidate with an answer")
        if self.equal_pairs:
            reasons.append(f"{self.equal_pairs} matches are between equal rewards and make no pair")
        return "; ".join(reasons) or "fewer than two different responses were chosen for any prompt"

    def _choice_lines(self) -> list[tuple[str, str]]:
        lines = [("copies merged", f"{self.copies}")]
        if self.conflicts:
            lines.append(("  with another score", f"{self.conflicts}; the first score of a text is kept"))
        if self.too_few:
            done = "kept what there is" if self.config.too_few == "keep" else "left out"
            lines.append(
                ("fewer than k", f"{self.too_few} prompts with under {self.config.k} different; {done}")
            )
        lines.append(("chosen", f"{self.chosen}"))
        if self.config.method == "rejection":
            return lines + (self.acceptance.lines() if self.acceptance.prompts else [])
        ties = f"{self.tied_prompts} prompts, {self.tied_candidates} candidates; the seed decided"
        return [*lines, ("ties at the cut", ties)]

    def _vote_lines(self) -> list[tuple[str, str]]:
        return [
            ("votes", f"{self.votes}; {self.candidates - self.votes} candidates have no answer"),
            ("prompts without a vote", f"{self.voteless}; nothing is written for them"),
        ]
