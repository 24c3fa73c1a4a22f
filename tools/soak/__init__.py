"""The crash storm: writers without pause, SIGKILL at random and at named instants, and a checker that shares no code with the service."""
