"""The HAProxies of a run: named, started, put in front of the target, their state read."""
