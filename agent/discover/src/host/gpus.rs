//! Graphics processors: PCI display devices, and those of systems on a chip.

use std::fs;
use std::path::{Path, PathBuf};

use mesoscope_proto::v1::Gpu;

use crate::paths::Paths;
use crate::text::read;

/// Graphics processors told at most.
const GPUS_MAX: usize = 64;

/// Where distributions keep the names of PCI devices (pci.ids of <https://pci-ids.ucw.cz>).
const NAME_FILES: [&str; 3] = [
    "/usr/share/misc/pci.ids",
    "/usr/share/hwdata/pci.ids",
    "/var/lib/pciutils/pci.ids",
];

/// Vendors of graphics processors, for hosts without a file of names.
const VENDORS: [(u16, &str); 8] = [
    (0x10de, "NVIDIA"),
    (0x1002, "AMD"),
    (0x8086, "Intel"),
    (0x1a03, "ASPEED"),
    (0x102b, "Matrox"),
    (0x1af4, "Red Hat (virtio)"),
    (0x1234, "QEMU"),
    (0x15ad, "VMware"),
];

/// Every graphics processor. PCI devices of the display class are found without a driver, too.
pub(super) fn gpus(paths: &Paths) -> Vec<Gpu> {
    let mut gpus = pci(paths);
    gpus.extend(platform(&paths.sys.join("class/drm")));
    gpus.truncate(GPUS_MAX);
    gpus
}

fn pci(paths: &Paths) -> Vec<Gpu> {
    let mut names = None;
    let mut gpus = Vec::new();
    for device in sorted_entries(&paths.sys.join("bus/pci/devices")) {
        // Class 03: display controllers; 0380 and 0302 are those without a screen.
        let is_display = read(&device.join("class")).starts_with("0x03");
        let id = |file: &str| hex(&read(&device.join(file)));
        let (true, Some(vendor), Some(model)) = (is_display, id("vendor"), id("device")) else {
            continue;
        };
        let names: &String = names.get_or_insert_with(|| {
            let mut files = NAME_FILES
                .iter()
                .map(|path| read(&paths.in_host_root(path)));
            files
                .find(|content| !content.is_empty())
                .unwrap_or_default()
        });
        let pci_address = file_name(&device);
        let driver_name = nvidia_model(&paths.proc, &pci_address);
        let (vendor_name, model_name) = lookup(names, vendor, model);
        gpus.push(Gpu {
            name: driver_name
                .or(model_name)
                .unwrap_or_else(|| format!("{vendor:04x}:{model:04x}")),
            vendor: vendor_name.unwrap_or_else(|| known_vendor(vendor)),
            pci_address,
        });
    }
    gpus
}

/// Cards whose device is not on a PCI bus: the driver's name is all there is.
fn platform(drm: &Path) -> Vec<Gpu> {
    let mut gpus = Vec::new();
    for card in sorted_entries(drm) {
        let name = file_name(&card);
        let number = name.strip_prefix("card").unwrap_or("");
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let uevent = read(&card.join("device/uevent"));
        let value = |key: &str| {
            let mut lines = uevent.lines();
            lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        };
        if value("PCI_SLOT_NAME").is_some() {
            continue;
        }
        if let Some(driver) = value("DRIVER") {
            gpus.push(Gpu {
                name: driver.to_owned(),
                ..Gpu::default()
            });
        }
    }
    gpus
}

/// The product's name as NVIDIA's own driver tells it.
fn nvidia_model(proc: &Path, pci_address: &str) -> Option<String> {
    let folder = proc.join("driver/nvidia/gpus").join(pci_address);
    let information = read(&folder.join("information"));
    let mut lines = information.lines();
    lines.find_map(|line| Some(line.strip_prefix("Model:")?.trim().to_owned()))
}

fn known_vendor(vendor: u16) -> String {
    let known = VENDORS.iter().find(|(id, _)| *id == vendor);
    known.map_or_else(|| format!("{vendor:04x}"), |(_, name)| (*name).to_owned())
}

/// Vendor and device in pci.ids: `VVVV  Vendor`, and below it `\tDDDD  Device`.
fn lookup(names: &str, vendor: u16, device: u16) -> (Option<String>, Option<String>) {
    let entry = |line: &str, id: u16| {
        let rest = line.strip_prefix(&format!("{id:04x}"))?;
        rest.starts_with("  ").then(|| rest.trim().to_owned())
    };
    let mut lines = names.lines();
    let Some(vendor_name) = lines.find_map(|line| entry(line, vendor)) else {
        return (None, None);
    };
    let device_name = lines
        .take_while(|line| line.starts_with('\t') || line.starts_with('#') || line.is_empty())
        .find_map(|line| entry(line.strip_prefix('\t')?, device));
    (Some(vendor_name), device_name)
}

fn hex(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn sorted_entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IDS: &str = "# comment\n10dd  Evans\n\t2204  Wrong\n10de  NVIDIA Corporation\n\t0020  NV4\n\
        \t\t1043 0200  Sub\n\t2204  GA102 [GeForce RTX 3090]\n10df  Emulex\n\t2205  Wrong\n";

    #[test]
    fn names_are_found_below_their_own_vendor() {
        let found = lookup(IDS, 0x10de, 0x2204);
        assert_eq!(found.0.as_deref(), Some("NVIDIA Corporation"));
        assert_eq!(found.1.as_deref(), Some("GA102 [GeForce RTX 3090]"));
        assert_eq!(lookup(IDS, 0x10de, 0x2205).1, None);
        assert_eq!(lookup(IDS, 0xffff, 0x2204), (None, None));
    }

    #[test]
    fn cards_of_a_made_sysfs() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |path: &str, content: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
            fs::write(path, content).expect("a file");
        };
        let pci = "sys/bus/pci/devices/0000:01:00.0";
        for (file, content) in [
            ("class", "0x030200\n"),
            ("vendor", "0x10de\n"),
            ("device", "0x20b0\n"),
        ] {
            write(&format!("{pci}/{file}"), content);
        }
        write("sys/bus/pci/devices/0000:00:01.0/class", "0x020000\n");
        write(
            "proc/driver/nvidia/gpus/0000:01:00.0/information",
            "Model: \t NVIDIA A100\nIRQ: 1\n",
        );
        write(
            "sys/class/drm/card0/device/uevent",
            "DRIVER=nvidia\nPCI_SLOT_NAME=0000:01:00.0\n",
        );
        write("sys/class/drm/card1/device/uevent", "DRIVER=panfrost\n");
        write(
            "sys/class/drm/card1-HDMI-A-1/device/uevent",
            "DRIVER=other\n",
        );
        let found = gpus(&Paths {
            proc: root.path().join("proc"),
            sys: root.path().join("sys"),
            cgroup: PathBuf::new(),
        });
        let names: Vec<_> = found
            .iter()
            .map(|gpu| (gpu.name.as_str(), gpu.vendor.as_str()))
            .collect();
        assert_eq!(names, [("NVIDIA A100", "NVIDIA"), ("panfrost", "")]);
        assert_eq!(found[0].pci_address, "0000:01:00.0");
    }

    proptest! {
        #[test]
        fn any_file_of_names_is_survived(text in "[0-9a-f\t\n #A-Z]{0,200}", vendor: u16, device: u16) {
            lookup(&text, vendor, device);
        }
    }
}
