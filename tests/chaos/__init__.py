"""Kills and faults on real processes, a real PostgreSQL and a real Apache Kafka."""
