// Which class runs which screen.

import { Pairwise } from "./screen_pairwise.js";

export const SCREENS = { pairwise: Pairwise };
