"""The library: one hub, many listeners, one upstream channel per table."""
