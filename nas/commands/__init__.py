"""Parts of the command line: options that commands share, commands about models, and how they are stopped."""
