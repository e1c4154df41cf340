//! Embeds the kernel programs where they have been built (`cargo xtask build-ebpf`), so that the
//! agent is one file. Without them everything still builds, and runs on the lower rungs.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo:rustc-check-cfg=cfg(kernel_programs)");
    println!("cargo:rerun-if-env-changed=MESOSCOPE_EBPF_OBJECT");
    let object = env::var_os("MESOSCOPE_EBPF_OBJECT").map_or_else(
        || {
            PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"))
                .join("../../target/bpf/mesoscope.o")
        },
        PathBuf::from,
    );
    println!("cargo:rerun-if-changed={}", object.display());
    if let Ok(object) = object.canonicalize() {
        println!("cargo:rustc-cfg=kernel_programs");
        println!(
            "cargo:rustc-env=MESOSCOPE_EBPF_OBJECT_PATH={}",
            object.display()
        );
    }
}
