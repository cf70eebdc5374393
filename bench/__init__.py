"""Benchmarks: each prints figures as ratios against an anchor measured in the same run."""
