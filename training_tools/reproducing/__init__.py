"""A whole study in one command: steps with stamps, their order and resumption, and the report beside the papers."""
