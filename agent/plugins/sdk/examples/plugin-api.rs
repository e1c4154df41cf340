//! Prints the interface of plugins as an OpenAPI document.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", mesoscope_plugin::openapi::document()?);
    Ok(())
}
