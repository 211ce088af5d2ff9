"""TCP itself as the harness wants it: segments made one by one, in a network namespace of the harness's own."""
