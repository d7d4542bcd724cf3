"""All networks on the same patients with the same means: what is run, what it costs, the page."""
