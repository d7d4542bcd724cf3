"""The training loop, for any objective of `training_tools.objectives`; `training_tools.train` is its command.

`settings` what may be set; `cache` prepared arrays on disk, `sampling` batches from them; `state` networks, optimisers
and averages of a run, `loop` the steps, `precision` devices and number formats, `validation` early stopping,
`reporting` log, sheets and progress.
"""
