"""Ways to make a victim: a frozen config and a generator, one file per method."""
