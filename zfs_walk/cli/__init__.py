"""The commands: one file a verb. They parse, call and print."""
