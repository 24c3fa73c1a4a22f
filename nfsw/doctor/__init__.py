"""`nfsw doctor`: looks at everything that the service needs, from where the service runs, and says what is wrong and what mends it.

It makes the calls of the service, with the service's own modules. Each group of checks runs in a child process, so that a
mount that hangs takes a child with it and not the doctor.
"""
