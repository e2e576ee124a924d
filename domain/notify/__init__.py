"""Notifications: which are due, and what they say ("Retry, limits, handlers, notifications, schedule")."""
