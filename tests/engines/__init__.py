"""Real engines for tests: PostgreSQL, Apache Kafka and the embedded broker, shared by all workers of a run or one's own.

Use the fixtures of `tests.engines.fixtures`. Everything that is started here ends with the run, also when the run is killed.
"""
