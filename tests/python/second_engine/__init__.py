"""The curated tables once more, from snapshots to rows: an implementation that shares nothing with Gatefold.

It is written for exactness and for reading: each function names the rule of the domain that it states. Rows that both
implementations agree on were reached by two ways; a row on which they differ shows a fault, or a rule with two readings.
"""
