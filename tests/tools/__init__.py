"""The programs of tools/ that users and CI call."""
