"""Notifications of a dispatcher: what is due is published once, and delivered by whichever dispatcher takes it."""
