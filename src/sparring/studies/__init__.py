"""One file per study: its settings, how it is run, and what is made of the results."""
