"""Measures of what an attack does to its victim, and of how visible it is. No game, no network, no JAX."""
