"""The load profiles: every file of this folder without a leading underscore is one, which `locust -f` runs as it is."""
