"""Mechanisms that every service shares, and no business word.

A piece belongs here when three services need it and a hotel booking system could use it unchanged.
"""
