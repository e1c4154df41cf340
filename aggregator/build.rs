//! Finds the built page, or makes one that says how to build it.

use std::path::{Path, PathBuf};

const PLACEHOLDER: &str = "<!doctype html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><title>Mesoscope</title></head>
<body>
<h1>Mesoscope runs, without its page</h1>
<p>This aggregator was built before the page was. Build it, and the aggregator again, with</p>
<pre>cargo xtask build-page
cargo build --release -p mesoscope-aggregator</pre>
<p>The map is at <a href=\"/api/topology?view=processes\">/api/topology</a> meanwhile, and in
<code>mesoscope topology</code>.</p>
</body>
</html>
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let manifest = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let built = manifest.join("../ui/dist");
    println!("cargo:rerun-if-changed={}", built.display());
    let page = if built.join("index.html").is_file() {
        built.canonicalize()?
    } else {
        println!("cargo:warning=ui/dist is not built: the page will only say how to build it");
        placeholder(&PathBuf::from(std::env::var("OUT_DIR")?))?
    };
    println!("cargo:rustc-env=MESOSCOPE_PAGE={}", page.display());
    Ok(())
}

fn placeholder(out: &Path) -> std::io::Result<PathBuf> {
    let page = out.join("page");
    std::fs::create_dir_all(&page)?;
    std::fs::write(page.join("index.html"), PLACEHOLDER)?;
    Ok(page)
}
