"""Attacks: a frozen config and a generator, one file per method."""
