"""The load profiles: every other file of this folder is one, a locustfile that `locust -f` runs as it is."""
