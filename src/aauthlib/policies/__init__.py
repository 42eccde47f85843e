"""Policies in files: what the rules of every role share, whatever they decide.

Reading TOML rules (`documents`), their conditions (`conditions`), and a file that is taken over when it changes
(`reloading`). What a rule can decide, and on which facts, is the role's own.
"""
