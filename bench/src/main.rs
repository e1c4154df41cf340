//! Load, overhead and accuracy harnesses.

fn main() {}
