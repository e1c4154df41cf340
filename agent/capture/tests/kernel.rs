//! The capture against the running kernel: real processes, connections and cgroups in, events out.
//! Needs root and a kernel with BTF. Fails as root where something is missing; without root it says
//! which checks it skips.

mod checks;

fn main() -> std::process::ExitCode {
    checks::main()
}
