"""CPU services: pools of workers behind a balancer, by closed forms, reductions and simulation."""
