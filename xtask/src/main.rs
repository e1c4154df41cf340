//! The only entry points a person must know: build-ebpf, up, test, bench, vmtest, tidy.

fn main() {}
