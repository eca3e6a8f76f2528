"""Rewrite rules by subject; a pass chooses which of them it applies."""
