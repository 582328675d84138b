"""Measure answers: read the field's task and prediction files, score them, and compare two systems.

    formats -> samples and predictions -> alignment -> metrics by a convention -> report, bootstrap

Nothing here needs an assistant or a model: what ran is somebody else's business, what it wrote is scored.
"""
