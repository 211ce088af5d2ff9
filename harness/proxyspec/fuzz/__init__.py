"""Fuzzing: frames by chains of malformations, what the text says of each, and the search for who disagrees."""
