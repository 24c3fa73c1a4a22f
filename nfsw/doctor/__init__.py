"""`nfsw doctor`: checks everything that the service needs, from where the service runs, and says what is wrong and how to correct it.

It makes the calls of the service, with the service's own modules. Each group of checks runs in a child process, so that a mount that hangs
blocks a child and not the doctor.
"""
