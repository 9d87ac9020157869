"""The configuration tree of the commands."""
