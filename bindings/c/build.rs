//! Gives the shared library the name under which programs look for it (docs/abi.md).

use std::env;

/// The part of the version that changes with the ABI.
const ABI: &str = env!("CARGO_PKG_VERSION_MAJOR");
const MINOR: &str = env!("CARGO_PKG_VERSION_MINOR");

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_apple = env::var("CARGO_CFG_TARGET_VENDOR").is_ok_and(|vendor| vendor == "apple");
    if is_apple {
        // `make install` writes the directory into it.
        link(&format!("-install_name,@rpath/libtalkws.{ABI}.dylib"));
        link(concat!("-current_version,", env!("CARGO_PKG_VERSION")));
        // A program needs the minor version that it was linked with, or a later one.
        link(&format!("-compatibility_version,{ABI}.{MINOR}"));
    } else if env::var_os("CARGO_CFG_UNIX").is_some() {
        link(&format!("-soname,libtalkws.so.{ABI}"));
    }
}

/// Passes an argument through the compiler to the linker of the shared library.
fn link(argument: &str) {
    println!("cargo::rustc-link-arg-cdylib=-Wl,{argument}");
}
