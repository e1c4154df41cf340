//! The figures of plugins.

use mesoscope_proto::v1::PluginStatus;

use super::{Page, float};

/// Of each plugin, by its name; of a manifest that is refused, by its file.
pub(super) fn plugins(page: &Page, plugins: &[PluginStatus]) -> prometheus::Result<()> {
    if plugins.is_empty() {
        return Ok(());
    }
    let of = |value: fn(&PluginStatus) -> f64| {
        plugins
            .iter()
            .map(move |plugin| ([plugin.name.as_str()], value(plugin)))
    };
    page.gauges(
        "mesoscope_agent_plugin_running",
        "1 while the plugin answers.",
        &["plugin"],
        of(|plugin| f64::from(u8::from(plugin.state == "running"))),
    )?;
    page.gauges(
        "mesoscope_agent_plugin_nodes",
        "Nodes that the plugin says something of.",
        &["plugin"],
        of(|plugin| f64::from(plugin.nodes)),
    )?;
    page.counters(
        "mesoscope_agent_plugin_answers_total",
        "Answers that were taken, at least in part.",
        &["plugin"],
        of(|plugin| float(plugin.answers_total)),
    )?;
    page.counters(
        "mesoscope_agent_plugin_failures_total",
        "Questions without an answer that could be taken, and ends of the program.",
        &["plugin"],
        of(|plugin| float(plugin.failures_total)),
    )?;
    page.counters(
        "mesoscope_agent_plugin_refused_total",
        "What was refused within answers: unknown nodes, undeclared keys, wrong types, too much.",
        &["plugin"],
        of(|plugin| float(plugin.refused_total)),
    )?;
    page.counters(
        "mesoscope_agent_plugin_starts_total",
        "Starts of the plugin's program.",
        &["plugin"],
        of(|plugin| float(plugin.starts_total)),
    )
}
