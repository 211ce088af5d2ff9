"""What the profiles expect whose connections wait for the deadline: their 421 in time, and nobody else's mail late."""

__all__ = ["SLACK", "expected"]

#: How late most may be, and how late any may be, in seconds.
MOST, ANY = 0.25, 1.0
#: How late an answer is still worth waiting for, in seconds.
SLACK = 10.0


def expected(deadline: float) -> tuple[str, ...]:
    """Return the thresholds for a server that ends them after `deadline` seconds."""
    return (
        "errors == 0",
        f"min(held) >= {deadline:g}s",
        f"p99(held) < {deadline + MOST:g}s",
        f"max(held) < {deadline + ANY:g}s",
        "p99(header_to_banner) < 1s",
    )
