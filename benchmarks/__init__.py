"""Measurements that compare the reference server with its peers; run by hand, never by the tests."""
