"""The worker, the process of one job: `python -m dss.serving.worker FILE`."""
