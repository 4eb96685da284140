"""Stories of a small language model improved by DPO, RSO, PPO and best-of-n, by evalkit's commands alone.

    python -m evalkit.experiments.stories --model stories260k

`--model` is a folder of karpathy's TinyStories model of 260,000 weights in Transformers' format. It is
improved by two rewards: a rule, which counts kind words, and a reward model, which learnt from noisy labels
which of two stories has a spoken line and a proper end. Every step is a command that is called as from a
shell, and written to commands.sh as it could be typed.

About 20 minutes of one core. Expected: on held-out prompts the kind words of a story rise from 0.4 to between
1.7 and 2.8, and the points of the rule behind the model's labels from 1.1 to between 1.3 and 1.6. Stories are
as readable as before, with what is paid for in them; the model pays for speech more than for the rest.
"""

from evalkit.experiments.entry import start
from evalkit.experiments.stories.config import Stories

if __name__ == "__main__":
    start("stories", Stories)
