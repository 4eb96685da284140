// Which class runs which screen. Each has restore(answer), answer() as it stands, lacks(): what is missing
// before it can be saved, told(): the answer in words, and key(event): whether it made use of a key.

import { Best } from "./screen_best.js";
import { Pairwise } from "./screen_pairwise.js";
import { Ranking } from "./screen_ranking.js";
import { Spans } from "./screen_spans.js";
import { Steps } from "./screen_steps.js";

export const SCREENS = { pairwise: Pairwise, best: Best, ranking: Ranking, steps: Steps, spans: Spans };
