"""The platform seen from outside: one platform of real processes, an OTLP collector, a Prometheus."""
