"""A study of people's labels by commands alone in a world whose truth is known, held against the truth.

    python -m evalkit.experiments.annotation_study

About two minutes. Two systems answer 1,000 prompts. A judge behind a scripted endpoint, who falls for the
manners of the first, compares all; three simulated annotators, who err and lean to a side, label 200 of them
over HTTP on the page of `evalkit annotate`, which is killed half-way. Expected: the judge says that the first
system wins (61 % in the long run), people say that it loses (43 %), and so does the judge's win rate
corrected by people's labels; of the 95 % intervals of five such studies about one in twenty misses.
"""

from evalkit.experiments.annotation_study.config import AnnotationStudy
from evalkit.experiments.entry import start

if __name__ == "__main__":
    start("annotation_study", AnnotationStudy)
