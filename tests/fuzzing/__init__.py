"""Coverage-guided fuzzing of the reference server: `python -m tests.fuzzing --help`."""
