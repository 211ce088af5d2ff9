"""One mail server a file; whatever stands here is found by itself."""
