"""Services: written as a function of a job, run so that no ticket is lost.

An author declares a function with `dss.service`; `dss run` claims tickets and has each worked on in
a process of its own, step by step. A journal in the work folder says how far each ticket is.
"""
