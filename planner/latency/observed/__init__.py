"""Services known from production: rate, CPU and latency percentiles of the machines they run on
today.
"""
