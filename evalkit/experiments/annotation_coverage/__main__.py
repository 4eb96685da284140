"""How often the intervals of a study of people's labels hold the truth, over many studies that are simulated.

    python -m evalkit.experiments.annotation_coverage

About five minutes. Each study is labelled by the rules of `judges.human.assignment` and read by the code of
`evalkit labels status`, from memory in place of a database. Once all is labelled by everybody; and once it is
stopped early, when what is labelled is no random sample, as what is most needed came first. Expected: about
95 % of all intervals hold the truth, but for the means over whatever is labelled at a stop.
"""

from evalkit.experiments.annotation_coverage.config import AnnotationCoverage
from evalkit.experiments.entry import start

if __name__ == "__main__":
    start("annotation_coverage", AnnotationCoverage)
