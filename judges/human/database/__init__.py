"""Where labels are kept, behind `judges.human.store`: the only SQL, and how one writes at a time."""
