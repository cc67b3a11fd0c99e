"""Families: what methods with one assumption share."""
