"""PPO, DPO and RSO against the policy that theory says they reach, pi_ref exp(r / beta) / Z, known exactly.

    python -m evalkit.experiments.exact_tilt --out results/exact_tilt

About 3 minutes of processor time a seed. Three questions with eight answers each and a known reward; a small
language model that was taught a known distribution; what each policy says is known by enumerating all that it
can write. The optimum of the KL-penalised reward is eq. 4 of DPO (Rafailov et al. 2023, 2305.18290), and what
RSO (Liu et al. 2023, 2309.06657) samples from. Expected of the total variation to it, as the mean of three
worlds: 0.32 at the start, 0.001 by DPO on all pairs, 0.01 to 0.02 by PPO, RSO's pairs, and SFT on what is
accepted.
"""

from evalkit.experiments.entry import start
from evalkit.experiments.exact_tilt.config import Tilt

if __name__ == "__main__":
    start("exact_tilt", Tilt)
