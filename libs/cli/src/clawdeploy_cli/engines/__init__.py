"""The engines that come as Python wheels: PostgreSQL and a Kafka-compatible broker.

An engine says how it is prepared, which command runs it in the foreground, and whether it answers. Who starts it
(the local supervisor, the test suite) keeps the process. Every command is leashed: the engine ends with its starter.
"""
