//! What the node knows beside the kernel's events: host, processes, containers, NAT, names.
