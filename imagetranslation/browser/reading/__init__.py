"""Reading a study in the browser: one session a reader, pixels only. Needs aiohttp; what is kept is `readerstudy`'s."""
