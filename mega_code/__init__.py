"""Measure a skill, improve it, and install the version that is measurably better."""
