"""Metrics: pure functions over plain data. Those of a set give a `Score`, which keeps every item's own value."""
