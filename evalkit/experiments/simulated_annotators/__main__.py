"""Simulated annotators, who sign in by their links and work on the real pages over HTTP, many at once.

    python -m evalkit.experiments.simulated_annotators --links links.tsv --out told.jsonl --seconds 60

`links.tsv` is what `evalkit annotate --links` wrote, for comparisons of the world in `world.py`. Annotators
read what a browser is sent, and know nothing else; what they were told comes back as rows of `Deed`.
Expected: every act is kept exactly once, however many work at once.
"""

from evalkit.experiments.entry import start
from evalkit.experiments.simulated_annotators.config import Crowd

if __name__ == "__main__":
    start("simulated_annotators", Crowd)
