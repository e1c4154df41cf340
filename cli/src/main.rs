//! The map, live, in a terminal.

fn main() {}
