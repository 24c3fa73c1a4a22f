"""`nfsw doctor`: checks everything that the service needs, from where the service runs, and says what is wrong and how to put it right.

It makes the calls of the service, with the service's own modules. Each group of checks runs in a child process, so that a
mount that hangs takes a child with it and not the doctor.
"""
