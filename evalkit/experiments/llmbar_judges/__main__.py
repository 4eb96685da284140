"""Whether six language models judge answers or positions, by published verdicts on LLMBar (Zeng et al. 2023).

    python -m evalkit.experiments.llmbar_judges --data ../shared/data/llmbar/judgments.csv.gz

A few seconds. Expected: GPT-4 finds the right answer of a natural pair 95.5 % of the time and of an
adversarial one 86.4 %, and says the same in both orders for 95 %; ChatGPT of March 2023 finds 37.5 % of the
adversarial ones, and whichever answer stands first wins 79 % of the time. The statistics are those of
`evalkit winrate`, told from the right answer's side.
"""

from evalkit.experiments.entry import start
from evalkit.experiments.llmbar_judges.config import LlmbarJudges

if __name__ == "__main__":
    start("llmbar_judges", LlmbarJudges)
