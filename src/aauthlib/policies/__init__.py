"""Policies in files: what the rules of every role share, whatever they decide.

Reading TOML rules (`documents`), their conditions (`conditions`), whose agreement they demand (`approver_rules`, and
`approvers` for who of them is heard), and a file that is taken over when it changes (`reloading`). What a rule can
decide, and on which facts, is the role's own.
"""
