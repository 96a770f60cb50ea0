"""Exact values, gradients and best responses of finite games, in NumPy float64 alone."""
