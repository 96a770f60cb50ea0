"""Playing simulated games: what all agents decide, rollouts, and complete matches."""
