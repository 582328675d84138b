"""Spectral knowledge: the catalogue of indices, how they are computed, and what bands say about land cover."""
