"""Traffic scenarios: mail through HAProxy while servers die, drain and return, every message accounted for."""
