"""Public data sets as records, one file each, and the recognition of their columns.

- `gsm8k.py`: GSM8K: grade-school problems with worked solutions, and four models' solutions graded by
  their answer
- `hh.py`: Anthropic's helpful and harmless pairs: whole dialogues, split into the prompt and two
  responses
- `math_shepherd.py`: Math-Shepherd: solutions whose every step was labelled by whether completions from
  it reach the answer
- `preferences.py`: Preferences and rankings of any known format, recognised by the columns of the first
  row
- `prm800k.py`: PRM800K: steps rated by people, in its original format: a solution's path, and the steps
  tried beside it
- `processbench.py`: ProcessBench: solutions of several models and the index of the first step that
  experts found wrong
- `qa_feedback.py`: QA-Feedback of Fine-Grained RLHF: error spans and missing facts in an answer, and
  preferences of four
- `spans.py`: Labels of spans and of aspects, in any known format, recognised by the columns of the first
  row
- `steps.py`: Labelled steps of any known format, recognised by the columns of the first row
- `streams.py`: Screened records from rows, one or several per row; an error names the row's file, line
  and id
- `tldr.py`: Reddit TL;DR: pairs of summaries compared by people, in summarize-from-feedback's own format
- `ultrafeedback.py`: UltraFeedback: four answers rated by GPT-4, as rankings, and its binarized pairs
"""

from typing import TYPE_CHECKING

from rewards.lazy import names_on_demand

if TYPE_CHECKING:
    from rewards.data.gsm8k import load_gsm8k
    from rewards.data.preferences import load_preferences
    from rewards.data.spans import load_span_labels
    from rewards.data.steps import load_step_labels

__all__ = ["load_gsm8k", "load_preferences", "load_span_labels", "load_step_labels"]

__getattr__ = names_on_demand(
    __name__,
    {
        "rewards.data.gsm8k": ("load_gsm8k",),
        "rewards.data.preferences": ("load_preferences",),
        "rewards.data.spans": ("load_span_labels",),
        "rewards.data.steps": ("load_step_labels",),
    },
)
__dir__ = __all__.copy  # what a notebook completes
