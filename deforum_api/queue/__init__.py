"""The job queue: records, events, storage, the worker and the watchdog."""
