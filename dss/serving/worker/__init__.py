"""The process of a job: `python -m dss.serving.worker FILE`."""
