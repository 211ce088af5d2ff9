"""Conformance and load testing for mail servers behind HAProxy."""

__version__ = "0.1.0"
