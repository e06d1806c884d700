//! The CPU limit of the process's control group, and how often it was reached: versions 1 and 2. Text in,
//! figures out; only [`Group::find`] and [`Group::read`] touch files.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// A control group that has CPU statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    folder: PathBuf,
    version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// What a control group has been kept from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Throttling {
    /// Periods in which the limit was reached.
    pub periods: u64,
    /// How long the group's threads were kept from running.
    pub time: Duration,
}

impl Group {
    /// The nearest group that limits this process, or its own if none does.
    pub fn find() -> Option<Group> {
        let membership = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        let groups = groups_of(&membership, &mounts);
        let limiting = groups.iter().find(|group| group.cores().is_some());
        limiting
            .or_else(|| groups.iter().find(|group| group.read().is_some()))
            .cloned()
    }

    /// Its statistics now.
    pub fn read(&self) -> Option<Throttling> {
        throttling_of(&self.text("cpu.stat")?)
    }

    /// How many cores it may use; `None` without a limit.
    pub fn cores(&self) -> Option<f64> {
        match self.version {
            Version::Two => cores_of(&self.text("cpu.max")?),
            Version::One => {
                let quota = self.text("cpu.cfs_quota_us")?;
                let period = self.text("cpu.cfs_period_us")?;
                cores_of(&format!("{} {}", quota.trim(), period.trim()))
            }
        }
    }

    fn text(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(self.folder.join(file)).ok()
    }
}

/// The process's group and those above it, nearest first.
fn groups_of(membership: &str, mounts: &str) -> Vec<Group> {
    let versions = [Version::One, Version::Two];
    let found = versions.into_iter().find_map(|version| {
        let path = path_in(membership, version)?;
        let (root, mounted) = mount_of(mounts, version)?;
        Some((version, path, root, mounted))
    });
    let Some((version, path, root, mounted)) = found else {
        return Vec::new();
    };
    // In a container the mount shows a part of the tree: what lies above its root cannot be seen.
    let below = Path::new(path)
        .strip_prefix(&root)
        .unwrap_or_else(|_| Path::new(""));
    below
        .ancestors()
        .filter(|path| {
            path.is_relative() && !path.components().any(|part| part.as_os_str() == "..")
        })
        .map(|path| Group {
            folder: mounted.join(path),
            version,
        })
        .collect()
}

/// From `/proc/self/cgroup`: `4:cpu,cpuacct:/path` in version 1, `0::/path` in version 2.
fn path_in(membership: &str, version: Version) -> Option<&str> {
    membership.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let fits = match version {
            Version::One => controllers.split(',').any(|controller| controller == "cpu"),
            Version::Two => number == "0" && controllers.is_empty(),
        };
        (fits && path.starts_with('/')).then_some(path)
    })
}

/// From `/proc/self/mountinfo`: which part of the tree is mounted, and where.
fn mount_of(mounts: &str, version: Version) -> Option<(PathBuf, PathBuf)> {
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, mounted) = (left.next()?, left.next()?);
        let mut right = right.split(' ');
        let (kind, options) = (right.next()?, right.nth(1).unwrap_or_default());
        let fits = match version {
            Version::One => kind == "cgroup" && options.split(',').any(|option| option == "cpu"),
            Version::Two => kind == "cgroup2",
        };
        fits.then(|| {
            (
                PathBuf::from(unescaped(root)),
                PathBuf::from(unescaped(mounted)),
            )
        })
    })
}

/// The kernel writes blanks, tabs, line ends and backslashes in octal.
fn unescaped(text: &str) -> String {
    let escapes = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    let plain = text.to_owned();
    escapes
        .iter()
        .fold(plain, |text, (escape, plain)| text.replace(escape, plain))
}

/// From `cpu.stat`, in microseconds in version 2 and in nanoseconds in version 1.
fn throttling_of(text: &str) -> Option<Throttling> {
    let value = |wanted: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.split_once(' ')?;
            (name == wanted).then(|| value.trim().parse::<u64>().ok())?
        })
    };
    let time = match (value("throttled_usec"), value("throttled_time")) {
        (Some(micros), _) => Duration::from_micros(micros),
        (None, Some(nanos)) => Duration::from_nanos(nanos),
        (None, None) => return None,
    };
    Some(Throttling {
        periods: value("nr_throttled")?,
        time,
    })
}

/// From `<quota> <period>` in microseconds; `max` or -1 is no limit.
fn cores_of(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let quota = quota.parse::<u64>().ok().filter(|quota| *quota > 0)?;
    let period = period
        .trim()
        .parse::<u64>()
        .ok()
        .filter(|period| *period > 0)?;
    Some(quota as f64 / period as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOUNTS_1: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
    const MOUNTS_2: &str =
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    fn folders(membership: &str, mounts: &str) -> Vec<String> {
        let groups = groups_of(membership, mounts);
        groups
            .iter()
            .map(|group| {
                group
                    .folder
                    .display()
                    .to_string()
                    .trim_end_matches('/')
                    .to_owned()
            })
            .collect()
    }

    #[test]
    fn groups_are_found_in_both_versions() {
        let one = "9:name=systemd:/\n2:cpu,cpuacct:/docker/ab\n0::/\n";
        let base = "/sys/fs/cgroup/cpu,cpuacct";
        assert_eq!(
            folders(one, MOUNTS_1),
            [
                format!("{base}/docker/ab"),
                format!("{base}/docker"),
                base.to_owned()
            ]
        );
        let two = "0::/system.slice/app.service\n";
        let base = "/sys/fs/cgroup";
        assert_eq!(
            folders(two, MOUNTS_2),
            [
                format!("{base}/system.slice/app.service"),
                format!("{base}/system.slice"),
                base.to_owned()
            ]
        );
    }

    #[test]
    fn a_container_sees_a_part_of_the_tree() {
        let mounts = "30 23 0:26 /docker/ab /sys/fs/my\\040cgroup rw - cgroup cgroup rw,cpu\n";
        assert_eq!(
            folders("4:cpu:/docker/ab/inner\n", mounts),
            ["/sys/fs/my cgroup/inner", "/sys/fs/my cgroup"]
        );
        // Outside of the mounted part: what is mounted is all that can be seen.
        assert_eq!(folders("4:cpu:/elsewhere\n", mounts), ["/sys/fs/my cgroup"]);
        assert_eq!(
            folders("0::/../../other\n", MOUNTS_2).last().unwrap(),
            "/sys/fs/cgroup"
        );
    }

    #[test]
    fn statistics_of_both_versions() {
        let two =
            "usage_usec 100\nnr_periods 7\nnr_throttled 3\nthrottled_usec 1500\nnr_bursts 0\n";
        let one = "nr_periods 7\nnr_throttled 3\nthrottled_time 1500000\n";
        let expected = Throttling {
            periods: 3,
            time: Duration::from_micros(1500),
        };
        assert_eq!(throttling_of(two), Some(expected));
        assert_eq!(throttling_of(one), Some(expected));
        // The root group of version 2 has no limit, and says nothing of one.
        assert_eq!(throttling_of("usage_usec 100\nuser_usec 60\n"), None);
    }

    #[test]
    fn limits_of_both_versions() {
        assert_eq!(cores_of("150000 100000\n"), Some(1.5));
        assert_eq!(cores_of("max 100000\n"), None);
        assert_eq!(cores_of("-1 100000"), None);
        assert_eq!(cores_of("5 0"), None);
    }

    #[test]
    fn this_process_can_be_asked() {
        if let Some(group) = Group::find() {
            let first = group.read();
            assert!(
                first.is_none_or(|first| group.read().is_some_and(|next| next.time >= first.time))
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in ".{0,200}", other in "(\\PC|\n| - |:|/|\\.\\.){0,60}") {
            let _ = (throttling_of(&text), cores_of(&text));
            for group in groups_of(&other, &text).into_iter().chain(groups_of(&text, MOUNTS_1)) {
                prop_assert!(!group.folder.to_string_lossy().contains("/../"));
            }
        }

        #[test]
        fn what_is_written_is_read(periods in any::<u64>(), micros in 0..u64::MAX / 1000, quota in 1u64..1 << 40, period in 1u64..1 << 40) {
            let text = format!("nr_periods 0\nnr_throttled {periods}\nthrottled_usec {micros}\n");
            prop_assert_eq!(throttling_of(&text), Some(Throttling { periods, time: Duration::from_micros(micros) }));
            prop_assert_eq!(cores_of(&format!("{quota} {period}")), Some(quota as f64 / period as f64));
        }
    }
}
