"""One module a command of the ``receiver`` program."""
