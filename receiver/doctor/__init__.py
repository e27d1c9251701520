"""What ``receiver doctor`` looks at: the journal, the machine, the way of a delivery. Reports; repairs nothing."""
