"""Sender conformance: what a proxy writes in front of the sessions it relays, judged by the text and by its setting."""
