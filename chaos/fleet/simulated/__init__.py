"""The simulated fleet: the shipped cores on fake disks, networks and clocks, in virtual time.

One seed is one schedule: it decides who asks what and when, which messages are lost or late, and which
node dies between which two effects. `chaos.fleet.simulated.cli` is its command line.
"""
