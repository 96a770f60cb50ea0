"""One question, two oracles: what is the worst attack on this victim?"""
