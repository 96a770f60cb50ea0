"""Learning algorithms: each a factory that returns a `Learner` of pure functions."""
