"""`make bench`: nfsw beside its peers, in one run. Every module says what it is for; __main__ is the command."""
