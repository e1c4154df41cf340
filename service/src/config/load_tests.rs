use std::collections::BTreeMap;

use super::*;

#[derive(Debug, Parser)]
#[command(name = "demo", version)]
struct Demo {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1", env = "APP_HOST")]
    host: String,
    /// Port
    #[arg(long, default_value_t = 4040)]
    grpc_port: u16,
    /// How often
    #[arg(long, default_value = "5m")]
    interval: crate::units::Duration,
    /// How much
    #[arg(long, default_value = "16MiB")]
    spool_bytes: crate::units::ByteSize,
    /// A secret
    #[arg(long, hide_env_values = true)]
    password: Option<String>,
    /// Danger
    #[arg(long)]
    insecure_listen: bool,
    /// Names
    #[arg(long)]
    name: Vec<String>,
}

fn run(args: &[&str], env: &[(&str, &str)], text: &str) -> Result<Outcome<Demo>, ConfigError> {
    let args = std::iter::once("demo")
        .chain(args.iter().copied())
        .map(OsString::from);
    let env: BTreeMap<String, String> = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    load(
        args,
        &env,
        |_| Ok(text.to_owned()),
        |demo: &Demo| {
            if demo.host == "bad" {
                Err("host is bad".to_owned())
            } else {
                Ok(())
            }
        },
    )
}

fn config(args: &[&str], env: &[(&str, &str)], text: &str) -> Demo {
    match run(args, env, text).expect("valid configuration") {
        Outcome::Run(demo) => demo,
        Outcome::Print(text) => panic!("printed instead: {text}"),
    }
}

fn refusal(args: &[&str], env: &[(&str, &str)], text: &str) -> String {
    run(args, env, text)
        .expect_err("must be refused")
        .to_string()
}

#[test]
fn flags_go_before_environment_before_file_before_defaults() {
    let file = "grpc_port = 1\ninterval = \"7s\"\nhost = \"filehost\"\n";
    let file_flag = ["--config", "x.toml"];
    assert_eq!(config(&[], &[], "").grpc_port, 4040);
    assert_eq!(config(&file_flag, &[], file).grpc_port, 1);
    assert_eq!(
        config(&file_flag, &[("MESOSCOPE_GRPC_PORT", "2")], file).grpc_port,
        2
    );
    let all = ["--config", "x.toml", "--grpc-port", "3"];
    let demo = config(
        &all,
        &[("MESOSCOPE_GRPC_PORT", "2"), ("APP_HOST", "envhost")],
        file,
    );
    assert_eq!((demo.grpc_port, demo.host.as_str()), (3, "envhost"));
    assert_eq!(*demo.interval, std::time::Duration::from_secs(7));
    assert_eq!(demo.spool_bytes.as_u64(), 16 << 20);
}

#[test]
fn switches_and_lists_come_from_every_source() {
    let demo = config(
        &["--config=x"],
        &[],
        "insecure-listen = true\nname = [\"a\", \"b\"]\n",
    );
    assert!(demo.insecure_listen);
    assert_eq!(demo.name, ["a", "b"]);
    let env = [
        ("MESOSCOPE_INSECURE_LISTEN", "false"),
        ("MESOSCOPE_NAME", "c,d"),
    ];
    let demo = config(&["--config=x"], &env, "insecure_listen = true\n");
    assert!(!demo.insecure_listen);
    assert_eq!(demo.name, ["c", "d"]);
    assert!(refusal(&[], &[("MESOSCOPE_INSECURE_LISTEN", "maybe")], "").contains("true or false"));
}

#[test]
fn the_file_may_be_named_by_the_environment() {
    assert_eq!(
        config(&[], &[("MESOSCOPE_CONFIG", "x.toml")], "grpc_port = 9").grpc_port,
        9
    );
}

#[test]
fn an_unknown_key_names_file_line_and_the_nearest_key() {
    let text = refusal(
        &["--config", "x.toml"],
        &[],
        "host = \"a\"\ngrcp_port = 1\n",
    );
    assert_eq!(
        text,
        "x.toml:2: unknown key \"grcp_port\"; did you mean \"grpc_port\"?"
    );
    assert!(refusal(&["--config=x"], &[], "zzzz = 1").contains("--print-config"));
}

#[test]
fn a_bad_value_names_its_source() {
    let text = refusal(&["--config", "x.toml"], &[], "\ngrpc_port = \"many\"\n");
    assert!(text.starts_with("x.toml:2: invalid value 'many'"), "{text}");
    let text = refusal(&[], &[("MESOSCOPE_INTERVAL", "5 parsecs")], "");
    assert!(
        text.starts_with("environment variable MESOSCOPE_INTERVAL:"),
        "{text}"
    );
    assert!(refusal(&["--grpc-port", "x"], &[], "").contains("--grpc-port"));
    assert!(refusal(&["--config=x"], &[], "grpc_port = 1\ngrpc-port = 2").contains("second time"));
    assert!(refusal(&["--config=x"], &[], "grpc_port = [1, 2]").contains("one value"));
    assert_eq!(refusal(&["--host=bad"], &[], ""), "host is bad");
}

#[test]
fn a_missing_file_is_refused_by_name() {
    let error = load::<Demo>(
        ["demo", "--config", "/nowhere.toml"].map(OsString::from),
        &BTreeMap::new(),
        |path| std::fs::read_to_string(path),
        |_| Ok(()),
    )
    .expect_err("no such file");
    assert!(error.to_string().contains("/nowhere.toml"), "{error}");
}

#[test]
fn the_printed_configuration_names_sources_masks_secrets_and_loads_again() {
    let env = [("MESOSCOPE_PASSWORD", "hunter2"), ("MESOSCOPE_NAME", "a,b")];
    let args = ["--config", "x.toml", "--print-config", "--insecure-listen"];
    let Ok(Outcome::Print(text)) = run(&args, &env, "grpc_port = 5\n") else {
        panic!("--print-config prints");
    };
    assert!(text.contains("grpc_port = 5 # x.toml:1"), "{text}");
    assert!(
        text.contains("insecure_listen = true # command line"),
        "{text}"
    );
    assert!(text.contains("interval = \"5m\" # default"), "{text}");
    assert!(
        text.contains("name = [\"a\", \"b\"] # environment variable MESOSCOPE_NAME"),
        "{text}"
    );
    assert!(
        text.contains("password = \"***\"") && !text.contains("hunter2"),
        "{text}"
    );
    let again = config(&["--config", "y.toml"], &[], &text);
    assert_eq!((again.grpc_port, again.insecure_listen), (5, true));
}

#[test]
fn help_and_reference_are_printed() {
    for flag in ["--help", "--version", "--print-config-reference"] {
        assert!(
            matches!(run(&[flag], &[], ""), Ok(Outcome::Print(_))),
            "{flag}"
        );
    }
    let table = super::print::reference(&<Demo as clap::CommandFactory>::command());
    let row =
        "| `--host HOST` | `MESOSCOPE_HOST`, `APP_HOST` | `host` | `127.0.0.1` | Where to listen |";
    assert!(table.contains(row), "{table}");
}

proptest::proptest! {
    #[test]
    fn random_files_and_values_never_panic(text in "\\PC{0,120}", value in "\\PC{0,20}") {
        let _ = run(&["--config", "x"], &[("MESOSCOPE_INTERVAL", &value)], &text);
    }
}
