"""Aspects learnt from spans against one holistic preference reward, on the same labelled answers.

    python -m evalkit.experiments.fine_grained

In the world of facts, as Fine-Grained RLHF (Wu et al. 2023, 2306.01693) does with people: answers of a policy
are labelled in five ways, from one preference for two answers to a value for each span; a reward model is
trained on each; the best of 64 answers by each is measured by gold, aspect by aspect, and weights between
aspects are moved without scoring again.

About 10 minutes a seed. Expected, over three seeds: with 3000 labelled answers the best of 64 has a gold of
about 1.4 by spans, 1.0 by one rating an answer and 0.5 by preferences (chance -0.6, gold itself 3.3), which
come to 1.0 with 10000. With 1000 answers spans lead clearly in relevance alone.
"""

from evalkit.experiments.entry import start
from evalkit.experiments.fine_grained.config import FineGrained

if __name__ == "__main__":
    start("fine_grained", FineGrained)
