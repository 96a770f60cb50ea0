"""Hypothesis' strategies of small Markov games."""

from __future__ import annotations

from hypothesis import strategies as st

from sparring.exact.markov_game import random_game

games = st.builds(
    lambda seed, S, A, B, gamma, k: random_game(seed, S, A, B, gamma, min(k, S)),
    st.integers(0, 2**32),
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(1, 4),
    st.floats(0, 0.99),
    st.integers(1, 5),
)
