//! Generates the messages and services from `proto/`. `protox` compiles the files, so that a build
//! needs no `protoc`.

use std::path::{Path, PathBuf};

const SCHEMA: &str = "#[cfg_attr(feature = \"openapi\", derive(utoipa::ToSchema))]";
const AS_TEXT: &str = "#[serde(with = \"crate::address::text\")] \
    #[cfg_attr(feature = \"openapi\", schema(value_type = String))]";
const AS_TEXT_LIST: &str = "#[serde(with = \"crate::address::text_list\")] \
    #[cfg_attr(feature = \"openapi\", schema(value_type = Vec<String>))]";

const UNLESS_ZERO: &str = "#[serde(skip_serializing_if = \"crate::is_zero\")]";

/// Understands words, too, for an enumeration in JSON.
fn words(of: &str) -> String {
    format!("#[serde(deserialize_with = \"crate::words::{of}\")]")
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = [
        "mesoscope/v1/model.proto",
        "mesoscope/v1/uplink.proto",
        "mesoscope/v1/observe.proto",
        "mesoscope/v1/control.proto",
        "mesoscope/v1/peers.proto",
    ];
    let descriptors = protox::compile(files, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    write_descriptor_set(&out.join("descriptors.bin"), &descriptors)?;
    tonic_prost_build::configure()
        // The view messages are also the JSON of REST and WebSocket: one shape for every consumer.
        .type_attribute(
            ".mesoscope.v1",
            "#[derive(serde::Serialize, serde::Deserialize)]",
        )
        .type_attribute(".mesoscope.v1", "#[serde(rename_all = \"snake_case\")]")
        .message_attribute(".mesoscope.v1", "#[serde(default)]")
        .type_attribute(".mesoscope.v1", SCHEMA)
        // Its enclosing message has the same name.
        .type_attribute(
            "mesoscope.v1.Change.change",
            "#[cfg_attr(feature = \"openapi\", schema(as = ChangeOf))]",
        )
        .field_attribute("mesoscope.v1.Endpoint.address", AS_TEXT)
        .field_attribute("mesoscope.v1.AddressName.address", AS_TEXT)
        .field_attribute("mesoscope.v1.Container.addresses", AS_TEXT_LIST)
        .field_attribute("mesoscope.v1.NetworkInterface.addresses", AS_TEXT_LIST)
        .field_attribute(".mesoscope.v1.EdgeFigures", UNLESS_ZERO)
        .field_attribute("mesoscope.v1.Process.cause", words("process_cause"))
        .field_attribute("mesoscope.v1.Connection.protocol", words("protocol"))
        .field_attribute("mesoscope.v1.Connection.direction", words("direction"))
        .field_attribute("mesoscope.v1.Connection.state", words("connection_state"))
        .field_attribute("mesoscope.v1.Listener.protocol", words("protocol"))
        .field_attribute("mesoscope.v1.Container.state", words("container_state"))
        .field_attribute("mesoscope.v1.Gap.kind", words("gap_kind"))
        .compile_fds(descriptors)?;
    Ok(())
}

fn write_descriptor_set(
    path: &Path,
    descriptors: &impl prost::Message,
) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::write(path, descriptors.encode_to_vec())?;
    Ok(())
}
