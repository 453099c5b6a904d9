"""Review: questions to a recording after the fact, minutes of it, and what can be judged and measured of its sound."""
