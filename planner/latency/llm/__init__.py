"""Language-model serving: memory, step times, queues and calibration by a load test."""
