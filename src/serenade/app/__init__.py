"""The command line: one file per command; it translates and calls, the logic lies below it."""
